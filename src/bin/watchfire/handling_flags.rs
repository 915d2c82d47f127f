//! Who may read what is published: the flags, and the handling that they make.

use watchfire::client::Wish;
use watchfire::model::handling::Handling;
use watchfire::model::handling::OnwardUse;
use watchfire::model::handling::Reach;
use watchfire::model::handling::Tlp;
use watchfire::model::names::Audience;
use watchfire::model::names::InvalidName;
use watchfire::model::names::MemberId;
use watchfire::model::time::Timestamp;

use crate::failure::Failure;
use crate::moments;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct HandlingFlags {
    /// Traffic Light Protocol label: clear, green, amber, amber+strict or red.
    #[arg(long)]
    tlp: Option<Tlp>,
    /// An audience that may read it: companies, observers, all, or the handle of a custom one; may be repeated.
    #[arg(long = "audience", value_name = "AUDIENCE", value_parser = audience)]
    audiences: Vec<Audience>,
    /// A member that may read it; may be repeated.
    #[arg(long = "recipient", value_name = "MEMBER", value_parser = member)]
    recipients: Vec<MemberId>,
    /// What readers may do with it beyond reading: block, notify-affected or pass-to-government; may be repeated.
    /// Without it: nothing.
    #[arg(long = "may", value_name = "USE")]
    may: Vec<OnwardUse>,
    /// Readers should no longer act on it after this: a day, a time, or so long from now (12h, 3d, 2w).
    #[arg(long, value_name = "TIME", value_parser = moments::due)]
    use_until: Option<Timestamp>,
}

impl HandlingFlags {
    /// What was said, and what was left out.
    pub(crate) fn wish(&self) -> Wish {
        let mut reach =
            Reach { audiences: self.audiences.clone(), recipients: self.recipients.clone() };
        // Sorts them, and lets each stand once: what is signed has one spelling.
        reach.widen(&Reach::default());
        let is_said = reach != Reach::default();
        let onward_uses = (!self.may.is_empty()).then(|| self.may.clone());
        let reach = is_said.then_some(reach);
        Wish { tlp: self.tlp, reach, onward_uses, use_until: self.use_until }
    }

    /// The handling, if a label was given; whom no flag names may not read.
    pub(crate) fn handling(&self) -> Option<Handling> {
        let wish = self.wish();
        let reach = wish.reach.clone().unwrap_or_default();
        wish.tlp.map(|tlp| wish.handling(tlp, reach))
    }

    /// The handling, which must be given.
    pub(crate) fn required(&self) -> Result<Handling, Failure> {
        self.handling()
            .ok_or_else(|| Failure::Usage("every record has a label: --tlp LABEL".to_owned()))
    }
}

/// An audience as people write it.
pub(crate) fn audience(text: &str) -> Result<Audience, InvalidName> {
    if text.contains('/') { Audience::from_name(text) } else { text.parse() }
}

/// A member as people write it.
pub(crate) fn member(text: &str) -> Result<MemberId, InvalidName> {
    if text.contains('/') { MemberId::from_name(text) } else { text.parse() }
}
