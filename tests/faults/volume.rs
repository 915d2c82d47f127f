//! A small volume for the store of a world: a real tmpfs, in a namespace of its own, so that nobody needs to be root.

use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::world::World;

/// A mounted volume; it is gone with this.
pub(crate) struct Volume {
    holder: Child,
    /// What it is mounted on, as everybody else sees it.
    place: PathBuf,
}

impl Volume {
    /// Moves the store of a world whose hub does not run to a volume of so many bytes.
    pub(crate) fn of_store(world: &World, bytes: u64) -> Self {
        let place = world.data().join("store");
        let saved = world.data().join("store.saved");
        std::fs::rename(&place, &saved).expect("the store is moved");
        let volume = Self::at(&place, bytes);
        copy(&saved, &volume.inside());
        std::fs::remove_dir_all(&saved).expect("it was copied");
        volume
    }

    /// An empty one on a folder that is made.
    pub(crate) fn at(place: &Path, bytes: u64) -> Self {
        std::fs::create_dir_all(place).expect("a folder");
        let script = format!(
            "mount -t tmpfs -o size={bytes},mode=700 none \"$0\" && echo mounted && exec cat > /dev/null"
        );
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", &script])
            .arg(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut line = String::new();
        let mut out = BufReader::new(holder.stdout.take().expect("its output"));
        out.read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), "mounted", "a user may mount a tmpfs in a namespace of its own");
        Self { holder, place: place.to_owned() }
    }

    /// What a command begins with that is to see the volume.
    pub(crate) fn words(&self) -> Vec<String> {
        let id = self.holder.id().to_string();
        let words =
            ["nsenter", "--preserve-credentials", "--user", "--mount", "--target", &id, "--"];
        words.map(str::to_owned).to_vec()
    }

    /// The volume, as this process sees it.
    pub(crate) fn inside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.place.strip_prefix("/").expect("a whole path"))
    }

    /// Somebody else fills the volume until so many bytes are free.
    pub(crate) fn fill_to(&self, free: u64) {
        let path = self.inside().join("others");
        let mut file = File::options().create(true).append(true).open(path).expect("a file");
        let piece = vec![7; 4096];
        while self.free() > free && file.write_all(&piece).is_ok() {}
    }

    pub(crate) fn free(&self) -> u64 {
        let volume = rustix::fs::statvfs(self.inside().as_path()).expect("a volume");
        volume.f_bavail * volume.f_frsize
    }

    /// Everybody else gives back what they took.
    pub(crate) fn make_room(&self) {
        std::fs::remove_file(self.inside().join("others")).expect("a file");
    }

    /// Moves the store back to where it was.
    pub(crate) fn give_back(self, world: &World) {
        let saved = world.data().join("store.saved");
        std::fs::create_dir_all(&saved).expect("a folder");
        copy(&self.inside(), &saved);
        drop(self);
        let place = world.data().join("store");
        std::fs::remove_dir(&place).expect("it is empty without its volume");
        std::fs::rename(&saved, &place).expect("the store is moved");
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status();
    assert!(copied.expect("cp runs").success());
}
