//! How much this member may ask of the hub, and what is left of it: the hub's word.

use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::verifier::VerificationError;
use crate::model::roster::Quota;
use crate::wire::pb;

/// What is left to this member now. `None` where there is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaUse {
    /// What it may ask; 0 where there is no limit.
    pub quota: Quota,
    /// Records that may be published now.
    pub records_left: Option<u64>,
    /// Bytes of envelopes that may be published now.
    pub bytes_left: Option<u64>,
    /// Values that may be looked up, and pages that may be read, now.
    pub lookups_left: Option<u64>,
    /// Streams that are open.
    pub streams_open: u32,
}

impl Client {
    /// What is left of this member's quota.
    pub async fn quota(&self) -> Result<QuotaUse, ClientError> {
        let response = self.roster_service().get_quota(pb::GetQuotaRequest {}).await?.into_inner();
        let missing = || VerificationError::answer("there is no quota in it");
        let pb::QuotaUse { quota, records_left, bytes_left, streams_open, lookups_left } =
            response.r#use.ok_or_else(missing)?;
        let pb::Quota { records_per_second, bytes_per_day, streams, lookups_per_second } =
            quota.ok_or_else(missing)?;
        let limited = |limit: u64, left: u64| (limit > 0).then_some(left);
        Ok(QuotaUse {
            quota: Quota { records_per_second, bytes_per_day, streams, lookups_per_second },
            records_left: limited(records_per_second.into(), records_left),
            bytes_left: limited(bytes_per_day, bytes_left),
            lookups_left: limited(lookups_per_second.into(), lookups_left),
            streams_open,
        })
    }
}
