//! Whether the configuration's file has become another one: looked at every second, believed when it rests.

use crate::domain::digest;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at a file that is just being written.
const SETTLE: Duration = Duration::from_millis(200);
/// More than the configuration may be long: past it the file is wrong anyway.
const READ_BYTES_MAX: u64 = 2 << 20;

/// A file under watch. Where links lead counts, so an exchanged link or folder is seen, too.
pub(super) struct Watch {
    path: PathBuf,
    /// As it was at the last look.
    looks: Option<Looks>,
    /// What it said when it was last believed; `None`: it could not be read.
    digest: Option<[u8; 32]>,
    /// It was another one at the last look, and may still be being written.
    restless: bool,
}

/// What changes when a file is replaced or written: device, inode, length, times of change of text and of inode.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Looks(u64, u64, u64, (i64, i64), (i64, i64));

impl Watch {
    /// Watches from now on.
    pub(super) fn new(path: &Path) -> Self {
        let mut watch = Self { path: path.to_owned(), looks: None, digest: None, restless: false };
        watch.believe();
        watch
    }

    /// How long to wait until the next look.
    pub(super) fn pause(&self) -> Duration {
        if self.restless { SETTLE } else { LOOK_EVERY }
    }

    /// Looks; true when the file says something else than it said before, and has come to rest. A file that is not
    /// there says nothing new.
    pub(super) fn has_changed(&mut self) -> bool {
        let looks = looks(&self.path);
        if looks.is_none() {
            return false;
        }
        if looks != self.looks {
            (self.looks, self.restless) = (looks, true);
            return false;
        }
        if !std::mem::take(&mut self.restless) {
            return false;
        }
        let digest = digest_of(&self.path);
        std::mem::replace(&mut self.digest, digest) != digest
    }

    /// Takes the file as it is now for known: somebody is about to read it.
    pub(super) fn believe(&mut self) {
        self.restless = false;
        self.looks = looks(&self.path);
        self.digest = digest_of(&self.path);
    }
}

fn looks(path: &Path) -> Option<Looks> {
    let file = std::fs::metadata(path).ok()?;
    let (modified, changed) = ((file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec()));
    Some(Looks(file.dev(), file.ino(), file.len(), modified, changed))
}

fn digest_of(path: &Path) -> Option<[u8; 32]> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(READ_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(digest::sha256(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A folder of this test's own.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hapax-watch-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a folder can be made");
            Self(path)
        }
        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("a folder can be made");
            fs::write(&path, text).expect("a file can be written");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Two looks: the first sees, the second believes.
    fn twice(watch: &mut Watch) -> [bool; 2] {
        [watch.has_changed(), watch.has_changed()]
    }

    #[test]
    fn a_file_written_in_place_or_renamed_over_is_seen_once_it_rests() {
        let folder = Folder::new("rename");
        let path = folder.write("config.yaml", "one");
        let mut watch = Watch::new(&path);
        assert_eq!(twice(&mut watch), [false, false]);
        folder.write("config.yaml", "two!");
        assert!(!watch.has_changed() && watch.pause() < LOOK_EVERY);
        folder.write("config.yaml", "two, and more");
        assert_eq!(twice(&mut watch), [false, true], "it was still being written");
        fs::rename(folder.write("next", "three"), &path).expect("renamed");
        assert_eq!(twice(&mut watch), [false, true]);
        assert_eq!(twice(&mut watch), [false, false]);
    }

    #[test]
    fn a_link_or_a_folder_of_links_exchanged_is_seen() {
        let folder = Folder::new("link");
        folder.write("..1/config.yaml", "one");
        folder.write("..2/config.yaml", "two");
        symlink("..1", folder.0.join("..data")).expect("linked");
        symlink("..data/config.yaml", folder.0.join("config.yaml")).expect("linked");
        let mut watch = Watch::new(&folder.0.join("config.yaml"));
        symlink("..2", folder.0.join("..data_tmp")).expect("linked");
        fs::rename(folder.0.join("..data_tmp"), folder.0.join("..data")).expect("renamed");
        assert_eq!(twice(&mut watch), [false, true]);
    }

    #[test]
    fn the_same_words_a_missing_file_and_one_already_believed_say_nothing_new() {
        let folder = Folder::new("same");
        let path = folder.write("config.yaml", "one");
        let mut watch = Watch::new(&path);
        fs::rename(folder.write("next", "one"), &path).expect("renamed");
        assert_eq!(twice(&mut watch), [false, false]);
        fs::remove_file(&path).expect("removed");
        assert_eq!(twice(&mut watch), [false, false]);
        folder.write("config.yaml", "two");
        watch.believe();
        assert_eq!(twice(&mut watch), [false, false]);
    }
}
