//! Writing a bundle.

use std::collections::HashSet;
use std::io;
use std::io::Write;

use uuid::Uuid;

use crate::interop::stix::object::Object;
use crate::interop::stix::object::Origin;

/// Writes a bundle as its objects come, each shared one once.
///
/// What is remembered are the ids of shared objects, about 100 bytes each: as many as there are different values.
#[derive(Debug)]
pub struct BundleWriter<W> {
    out: W,
    written: u64,
    shared: HashSet<Box<str>>,
}

impl<W: Write> BundleWriter<W> {
    /// Begins a bundle. A bundle stands for nothing but this one handing over, so its id is drawn at random.
    pub fn new(mut out: W) -> io::Result<Self> {
        let id = Uuid::new_v4();
        write!(out, "{{\"type\":\"bundle\",\"id\":\"bundle--{id}\",\"objects\":[")?;
        Ok(Self { out, written: 0, shared: HashSet::new() })
    }

    /// Writes an object, unless it is a shared one that was written before.
    pub fn put(&mut self, object: &Object) -> io::Result<()> {
        if object.origin != Origin::Record && !self.shared.insert(object.id().into()) {
            return Ok(());
        }
        self.out.write_all(if self.written == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut self.out, &object.json)?;
        self.written += 1;
        Ok(())
    }

    /// How many objects were written.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Ends the bundle.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::interop::stix::marking::tlp_object;
    use crate::model::handling::Tlp;

    #[test]
    fn a_bundle_has_each_shared_object_once() {
        let mut writer = BundleWriter::new(Vec::new()).unwrap();
        for tlp in [Tlp::Green, Tlp::Red, Tlp::Green] {
            writer.put(&tlp_object(tlp)).unwrap();
        }
        assert_eq!(writer.written(), 2);
        let written: Value = serde_json::from_slice(&writer.finish().unwrap()).unwrap();
        assert_eq!(
            (&written["type"], written["objects"].as_array().unwrap().len()),
            (&"bundle".into(), 2)
        );
        let empty: Value =
            serde_json::from_slice(&BundleWriter::new(Vec::new()).unwrap().finish().unwrap())
                .unwrap();
        assert_eq!(empty["objects"].as_array().unwrap().len(), 0);
    }
}
