//! What becomes of exported records: a product, which is made of all that stands, once or again and again.

use watchfire::client::Client;
use watchfire::interop::exported::ExportedRecord;
use watchfire::model::filter::Filter;
use watchfire::model::names::RecordName;
use watchfire::model::time::Timestamp;

use crate::crl::now;
use crate::export::PATIENCE;

/// Files that are made of records.
pub(super) trait Product: Send + 'static {
    /// A record as it stands, in place of what was said under its name before; one that was taken back is given with that.
    fn put(&mut self, record: ExportedRecord) -> anyhow::Result<()>;

    /// A record is not there any more, or not to be shown.
    fn remove(&mut self, name: &RecordName) -> anyhow::Result<()>;

    /// Forgets every record that it was given, but not the files: what stands is given again.
    fn clear(&mut self) -> anyhow::Result<()>;

    /// Puts the files in place as of a time, durably; only those that changed.
    fn write(&mut self, now: Timestamp) -> anyhow::Result<()>;

    /// When they change by themselves, after a time.
    fn next_change(&self, now: Timestamp) -> Option<Timestamp>;

    /// Says what is in, and what was left out and why.
    fn tell(&self);
}

/// Makes it once, of what is current.
pub(super) async fn once(
    client: &Client,
    filter: Filter,
    product: &mut impl Product,
) -> anyhow::Result<()> {
    let mut export = client.export(filter, PATIENCE).await?;
    while let Some(records) = export.next().await? {
        for record in records {
            product.put(record)?;
        }
    }
    product.write(now())?;
    product.tell();
    Ok(client.remember_roster().await?)
}
