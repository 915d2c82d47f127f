//! TAXII through the front door: the real hub, real mutual TLS, and requests as other people's tools make them.

mod access;
mod hostile;
mod paging;
mod standard;
pub(crate) mod tool;
mod versions;

use watchfire::interop::stix::ids;
use watchfire::model::names::RecordName;

use crate::taxii::tool::Tool;
use crate::world::World;

/// A world whose hub serves TAXII beside gRPC.
pub(crate) async fn served(members: &[(&str, &str)]) -> World {
    let mut world = World::stopped();
    world.configure(&format!("\n[taxii]\nlisten = \"{}\"\n", address(&world)));
    world.start(&[]).await;
    for (member, role) in members {
        world.admit(member, role);
    }
    world
}

/// Where TAXII is served.
fn address(world: &World) -> String {
    world.address().replace(":7443", ":7444")
}

/// The collection of everything that a member may read.
async fn everything(tool: &Tool) -> String {
    let listed = tool.get("/exchange/collections/").await;
    let first = &listed.body["collections"][0];
    assert_eq!(first["title"], "Everything", "{listed:?}");
    format!("/exchange/collections/{}/", first["id"].as_str().expect("an id"))
}

/// The end of the id of the object that stands for a record, whatever its type.
fn tail(record: &RecordName) -> String {
    format!("--{}", ids::record_uuid(record, ""))
}
