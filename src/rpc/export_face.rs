//! `ExportService`: the current state, in formats of other tools.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use crate::exchange::ExchangeError;
use crate::exchange::Export;
use crate::exchange::Hub;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::rpc::bulk;
use crate::rpc::bulk::Amount;
use crate::rpc::caller::caller;
use crate::rpc::status;
use crate::wire::face::export_service_server::ExportService;
use crate::wire::filter::filter;
use crate::wire::pb;

type Answer<T> = Result<Response<T>, Status>;

/// Members that have an export under way.
#[derive(Clone, Debug, Default)]
struct Running(Arc<Mutex<HashSet<MemberId>>>);

/// The right to one export; it ends with its owner.
struct Turn {
    running: Running,
    member: MemberId,
}

impl Running {
    fn take(&self, member: &MemberId) -> Result<Turn, Refusal> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.insert(member.clone()) {
            return Ok(Turn { running: self.clone(), member: member.clone() });
        }
        let message = format!("{member} has an export under way, as many as a member may have");
        Err(Refusal::new(Reason::TooManyStreams, message))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut running = self.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.member);
    }
}

/// The service.
pub(super) struct ExportFace {
    hub: Arc<Hub>,
    running: Running,
}

impl ExportFace {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { hub, running: Running::default() }
    }
}

#[tonic::async_trait]
impl ExportService for ExportFace {
    type ExportStream = Pin<Box<dyn Stream<Item = Result<pb::ExportResponse, Status>> + Send>>;

    async fn export(&self, request: Request<pb::ExportRequest>) -> Answer<Self::ExportStream> {
        let member = caller(&request)?;
        let refused = |refusal: Refusal| status::refused(&refusal);
        self.hub.reader(&member).map_err(refused)?;
        let pb::ExportRequest { filter: wire_filter, format } = request.into_inner();
        demand_stix(format).map_err(refused)?;
        let filter = filter(wire_filter).map_err(refused)?;
        let turn = self.running.take(&member).map_err(refused)?;
        let export = self.hub.export(&member, filter).map_err(refused)?;
        let chunks: Self::ExportStream = Box::pin(chunks(export, turn));
        let mut response = Response::new(chunks);
        bulk::mark(&mut response, "read.export", Amount::Much(String::new()));
        Ok(response)
    }
}

fn demand_stix(format: i32) -> Result<(), Refusal> {
    match pb::ExportFormat::try_from(format) {
        Ok(pb::ExportFormat::Stix) => Ok(()),
        Ok(pb::ExportFormat::Unspecified) => {
            Err(Refusal::field(Reason::FieldInvalid, "format", "must be set"))
        }
        Err(_unknown) => {
            let message = format!("{format} is not known to this version");
            Err(Refusal::field(Reason::UnsupportedField, "format", message))
        }
    }
}

/// An export while it is sent: what is not sent yet of what was written.
struct Sending {
    export: Export,
    rest: Bytes,
    _turn: Turn,
}

impl Sending {
    /// The next frame; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, ExchangeError> {
        if self.rest.is_empty() {
            let Some(written) = self.export.next().await? else { return Ok(None) };
            self.rest = written.into();
        }
        // Each frame waits for the reader, however long: what held when the rest was written may not hold any more.
        self.export.demand_current().await?;
        let length = self.rest.len().min(limits::FRAME_BYTES_TARGET);
        Ok(Some(self.rest.split_to(length).to_vec()))
    }
}

/// Cuts what is written into frames; ends with its error.
fn chunks(
    export: Export,
    turn: Turn,
) -> impl Stream<Item = Result<pb::ExportResponse, Status>> + Send {
    let sending = Sending { export, rest: Bytes::new(), _turn: turn };
    stream::unfold(Some(sending), |sending| async {
        let mut sending = sending?;
        match sending.next().await {
            Ok(Some(chunk)) => Some((Ok(pb::ExportResponse { chunk }), Some(sending))),
            Ok(None) => None,
            Err(error) => Some((Err(status::failed(&error)), None)),
        }
    })
}
