//! `watchfire cosign`: be a witness of the log, once or again and again.

use std::time::Duration;

use watchfire::client::Client;

use crate::context::Context;
use crate::output;
use crate::stop;

const EXAMPLES: &str = "Examples:
  watchfire --profile birch cosign
  watchfire --profile jetty cosign --every 60s";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Cosign again and again, after so long each time: 60s, 5m, 1h.
    #[arg(long, value_name = "TIME", value_parser = interval)]
    every: Option<Duration>,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let Some(every) = args.every else {
        return cosign(&client).await;
    };
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let again = async {
        loop {
            ticks.tick().await;
            match cosign(&client).await {
                // A hub that is away comes back; one that deviates is not cosigned any more.
                Err(error) if is_transient(&error) => {
                    output::note(&output::clean(&format!("not cosigned: {error:#}")));
                }
                other => other?,
            }
        }
    };
    tokio::select! {
        ended = again => ended,
        asked = stop::asked() => Ok(asked?),
    }
}

async fn cosign(client: &Client) -> anyhow::Result<()> {
    let cosigned = client.cosign().await?;
    let (size, epoch) = (cosigned.checkpoint.size, cosigned.checkpoint.epoch);
    let root = hex::encode(cosigned.checkpoint.root);
    Ok(output::line(&format!("cosigned {size} entries, epoch {epoch}, root {root}"))?)
}

fn is_transient(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<watchfire::client::ClientError>();
    cause.is_some_and(watchfire::client::ClientError::is_transient)
}

/// A whole number of seconds, minutes or hours, up to a day.
fn interval(text: &str) -> Result<Duration, String> {
    let rule = || "must be a number with s, m or h, from 1s to 24h".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(rule)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(rule()),
    };
    let number: u64 = number.parse().map_err(|_not_a_number| rule())?;
    let total = number.saturating_mul(seconds);
    if (1..=24 * 3600).contains(&total) { Ok(Duration::from_secs(total)) } else { Err(rule()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_number_with_a_unit() {
        assert_eq!(interval("60s"), Ok(Duration::from_mins(1)));
        assert_eq!(interval("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(interval("24h"), Ok(Duration::from_hours(24)));
        for text in ["", "s", "60", "0s", "25h", "-1s", "1d", "\u{20ac}", "99999999999999999999h"] {
            interval(text).unwrap_err();
        }
    }
}
