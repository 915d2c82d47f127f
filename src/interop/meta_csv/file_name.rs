//! What a file's name says: the operation and the quarter stand nowhere else.

use crate::interop::techniques::bounded;
use crate::model::limits;

/// What a file's name says about the operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationHint {
    /// A title.
    pub title: String,
    /// The quarter of the report, for example `Q1 2024`.
    pub quarter: Option<String>,
    /// Where it came from, in the publisher's words.
    pub origin: Option<String>,
}

pub(super) fn hint(file_name: &str) -> Option<OperationHint> {
    let base = file_name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    let base = base.strip_suffix(".csv").or_else(|| base.strip_suffix(".CSV")).unwrap_or(base);
    let spaced = base.replace(" _ ", " / ").replace('_', " ");
    let words: Vec<&str> = spaced.split_whitespace().filter(|word| *word != "updated").collect();
    let title = bounded(&words.join(" "), limits::LABEL_BYTES_MAX);
    (!title.is_empty()).then(|| OperationHint {
        quarter: quarter(&words),
        origin: origin(&words),
        title,
    })
}

fn quarter(words: &[&str]) -> Option<String> {
    words.windows(2).find_map(|pair| {
        let [first, second] = pair else {
            return None;
        };
        if is_year(second) && matches!(*first, "Q1" | "Q2" | "Q3" | "Q4") {
            return Some(format!("{first} {second}"));
        }
        let month: u32 = second.parse().ok().filter(|month| (1..=12).contains(month))?;
        is_year(first).then(|| format!("Q{} {first}", month.div_ceil(3)))
    })
}

fn is_year(word: &str) -> bool {
    word.len() == 4 && word.starts_with("20") && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// What stands before `-based` or `based`, or after `in` or `from` at the end.
fn origin(words: &[&str]) -> Option<String> {
    let after_date: Vec<&str> =
        words.iter().copied().skip_while(|word| word.starts_with('Q') || is_year(word)).collect();
    for (at, word) in after_date.iter().enumerate() {
        let lower = word.to_lowercase();
        let country = match lower.find("based") {
            Some(0) => String::new(),
            Some(_) if lower.contains("-based") => {
                word.split(['-']).next().unwrap_or_default().to_owned()
            }
            _ => continue,
        };
        let mut parts: Vec<&str> = after_date.iter().take(at).copied().collect();
        parts.extend((!country.is_empty()).then_some(country.as_str()));
        return Some(parts.join(" ")).filter(|origin| !origin.is_empty());
    }
    let at = words.iter().rposition(|word| matches!(*word, "in" | "from"))?;
    Some(words.iter().skip(at + 1).copied().collect::<Vec<_>>().join(" "))
        .filter(|origin| !origin.is_empty())
}
