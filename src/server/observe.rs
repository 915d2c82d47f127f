//! What the audit log and the traces are told, and by whom: the sequencer tells of records and groups, the layer around
//! all calls of calls.

use std::sync::Arc;
use std::time::Duration;

use crate::exchange::Act;
use crate::exchange::CommittedGroup;
use crate::exchange::Observer;
use crate::exchange::is_callers_doing;
use crate::model::reason::Reason;
use crate::model::time::Clock;
use crate::model::time::Timestamp;
use crate::rpc::Amount;
use crate::rpc::Bulk;
use crate::server::audit::Audit;
use crate::server::audit::Event;
use crate::server::audit::Outcome;
use crate::server::audit::Who;
use crate::server::traces::Origin;
use crate::server::traces::Traces;
use crate::taxii;
use crate::tls::Peer;

/// A call until its answer began.
#[derive(Debug)]
pub(super) struct Called {
    /// By whom.
    pub(super) peer: Option<Arc<Peer>>,
    /// `Service/Method`, of those that there are.
    pub(super) method: String,
    pub(super) begun: Timestamp,
    pub(super) took: Duration,
    /// Why it was refused, or what became of it otherwise.
    pub(super) end: End,
    /// What it reads.
    pub(super) bulk: Option<Bulk>,
    /// The trace that its caller says it belongs to.
    pub(super) origin: Option<Origin>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was answered, or its answer began.
    Answered,
    /// It was refused, with one of our reasons.
    Refused(Reason),
    /// It failed otherwise, with this code of gRPC.
    Failed(i32),
    /// Its caller went away, or it took too long.
    Dropped,
}

/// Whoever is told. Cheap to ask when nobody is.
pub(super) struct Told {
    clock: Arc<dyn Clock>,
    audit: Option<Audit>,
    traces: Option<Traces>,
}

impl Told {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        audit: Option<Audit>,
        traces: Option<Traces>,
    ) -> Arc<Self> {
        Arc::new(Self { clock, audit, traces })
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Whether anybody wants to hear of calls.
    pub(super) const fn is_asked(&self) -> bool {
        self.audit.is_some() || self.traces.is_some()
    }

    /// Something that the hub, its operator or a caller of the admin socket did.
    pub(super) fn note(&self, who: Who, what: &str, target: &str, outcome: Outcome) {
        if let Some(audit) = &self.audit {
            let event = Event::done(self.clock.now(), who, what, target);
            audit.tell(Event { outcome, ..event });
        }
    }

    /// A call whose answer began, or that ended without one.
    pub(super) fn called(&self, call: &Called) {
        if let Some(traces) = &self.traces {
            traces.call(call);
        }
        if let (Some(audit), Some(peer)) = (&self.audit, &call.peer) {
            tell(audit, call, peer);
        }
    }

    /// A request of TAXII that was answered.
    pub(super) fn asked(&self, asked: &taxii::Asking) {
        let Some(audit) = &self.audit else { return };
        let reason = Reason::ALL.iter().find(|reason| Some(reason.as_str()) == asked.fault);
        if reason.is_some_and(|reason| !is_callers_doing(*reason)) {
            return;
        }
        let (what, outcome) = match asked.fault {
            None => ("read.taxii", Outcome::Done(None)),
            Some(code) => ("call taxii", Outcome::Refused(code.to_owned())),
        };
        let event = Event::done(self.clock.now(), who(&asked.peer), what, &asked.of);
        let event = Event { outcome, ..event };
        // One object is little, and all of them one by one are not.
        if asked.named > 0 {
            audit.tell_read(event, asked.named);
        } else {
            audit.tell(event);
        }
    }

    /// The file of the audit log may have been moved.
    pub(super) fn follow(&self) {
        if let Some(audit) = &self.audit {
            audit.follow();
        }
    }
}

/// Tells of a call that was refused for what its caller did, and of what one reads.
fn tell(audit: &Audit, call: &Called, peer: &Peer) {
    let event = |what: &str, target: &str, outcome| {
        let event = Event::done(call.begun, who(peer), what, target);
        Event { outcome, ..event }
    };
    match (&call.end, &call.bulk) {
        (End::Refused(reason), _) if is_callers_doing(*reason) => {
            let refused = Outcome::Refused(reason.as_str().to_owned());
            audit.tell(event(&format!("call {}", call.method), "", refused));
        }
        (End::Answered, Some(Bulk { what, amount: Amount::Much(of) })) => {
            audit.tell(event(what, of, Outcome::Done(None)));
        }
        (End::Answered, Some(Bulk { what, amount: Amount::Entries(entries) })) => {
            audit.tell_read(event(what, "", Outcome::Done(None)), *entries);
        }
        (End::Answered | End::Refused(_) | End::Failed(_) | End::Dropped, _) => {}
    }
}

/// A member, as its certificate says.
pub(super) fn who(peer: &Peer) -> Who {
    Who::Member {
        member: peer.member.clone(),
        agent: peer.agent.clone(),
        serial: Some(peer.serial.clone()),
        key: None,
    }
}

impl std::fmt::Debug for Told {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut told = formatter.debug_struct("Told");
        told.field("audit", &self.audit).field("traces", &self.traces).finish_non_exhaustive()
    }
}

impl Observer for Told {
    fn judged(&self, act: Act) {
        if let Some(audit) = &self.audit {
            audit.tell(Event::of_act(self.clock.now(), act));
        }
    }

    fn committed(&self, group: &CommittedGroup) {
        if let Some(traces) = &self.traces {
            traces.group(group);
        }
    }
}
