//! What is made of files and made again when they have changed: certificates, keys, tokens, passwords.
//!
//! A filesystem may hang, so a thread looks, for that moment, and no second one while it has not come back. Files that
//! can't be read any more, or of which nothing can be made, change nothing: what they said before stays in force, which is
//! told once.

use super::words::line;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use tokio::sync::oneshot::{self, Receiver};

/// How long a file may be; bundles of authorities have 300 KB.
const LENGTH_MAX: u64 = 4 << 20;

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            file: (found.dev(), found.ino()),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// The content of a file, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// What a look at files found: nothing new, or all of them anew.
type Found = Result<Option<(Vec<Stamp>, Vec<Text>)>, String>;

/// A thing that is made of files.
#[derive(Debug)]
pub(super) struct Made<T> {
    /// Of each file the places where it may be; the first that is there counts.
    files: Vec<Vec<PathBuf>>,
    stamps: Vec<Stamp>,
    looking: Option<Receiver<Found>>,
    made: Option<T>,
    failure: Option<String>,
}

impl<T: Clone> Made<T> {
    pub(super) fn of(files: Vec<Vec<PathBuf>>) -> Self {
        Self { files, stamps: Vec::new(), looking: None, made: None, failure: None }
    }

    /// The thing, and whether it is another one than before.
    ///
    /// # Errors
    /// One line: there is none yet.
    pub(super) async fn get(&mut self, make: impl FnOnce(&[Text]) -> Result<T, String>) -> Result<(T, bool), String> {
        match self.look().await {
            Ok(None) => {}
            Ok(Some((stamps, texts))) => {
                self.stamps = stamps;
                match make(&texts) {
                    Ok(made) => {
                        (self.made, self.failure) = (Some(made.clone()), None);
                        return Ok((made, true));
                    }
                    Err(why) => self.failed(why),
                }
            }
            Err(why) => {
                self.stamps.clear();
                self.failed(why);
            }
        }
        match (&self.made, &self.failure) {
            (Some(made), _) => Ok((made.clone(), false)),
            (None, why) => Err(why.clone().unwrap_or_default()),
        }
    }

    async fn look(&mut self) -> Found {
        if self.files.is_empty() {
            return Ok(self.made.is_none().then(Default::default));
        }
        // What a call began that was given up, the next one takes up.
        let looking = match &mut self.looking {
            Some(looking) => looking,
            nobody => nobody.insert(start(&self.files, &self.stamps)?),
        };
        let found = looking.await;
        self.looking = None;
        found.unwrap_or_else(|_| Err("files can't be read".to_owned()))
    }

    fn failed(&mut self, why: String) {
        if self.made.is_some() && self.failure.as_ref() != Some(&why) {
            tracing::warn!("{why}; what was there before goes on");
        }
        self.failure = Some(why);
    }
}

fn start(files: &[Vec<PathBuf>], known: &[Stamp]) -> Result<Receiver<Found>, String> {
    let (tell, told) = oneshot::channel();
    let (files, known) = (files.to_vec(), known.to_vec());
    // Whoever asked may be gone when it ends.
    let look = move || drop(tell.send(look(&files, &known)));
    let thread = thread::Builder::new().name("files".to_owned()).spawn(look);
    thread.map(|_| told).map_err(|error| format!("no thread to read files: {error}"))
}

fn look(files: &[Vec<PathBuf>], known: &[Stamp]) -> Found {
    let paths: Vec<&Path> = files.iter().map(|paths| there(paths)).collect();
    let failed = |path: &Path, error: io::Error| format!("{}: {}", path.display(), line(&error.to_string()));
    let stamp = |path: &&Path| path.metadata().map(|found| Stamp::of(&found)).map_err(|error| failed(path, error));
    let stamps = paths.iter().map(stamp).collect::<Result<Vec<_>, _>>()?;
    if stamps == known {
        return Ok(None);
    }
    let text = |path: &&Path| {
        let bytes = read(path).map_err(|error| failed(path, error))?;
        Ok(Text { name: path.display().to_string(), bytes })
    };
    let texts = paths.iter().map(text).collect::<Result<Vec<_>, String>>()?;
    Ok(Some((stamps, texts)))
}

/// The first path where something is; if nothing is anywhere, the first.
fn there(paths: &[PathBuf]) -> &Path {
    let is_there = |path: &&PathBuf| !path.metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    paths.iter().find(is_there).or(paths.first()).map_or(Path::new(""), PathBuf::as_path)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would block, and a device never end.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("expected a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LENGTH_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LENGTH_MAX {
        return Err(io::Error::other(format!("expected at most {LENGTH_MAX} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{remove_file, rename, write};

    fn words(texts: &[Text]) -> Result<String, String> {
        let words: Vec<_> = texts.iter().map(|text| String::from_utf8_lossy(&text.bytes).into_owned()).collect();
        let words = words.join(" ");
        if words.contains("bad") { Err("nothing good".to_owned()) } else { Ok(words) }
    }

    #[tokio::test]
    async fn what_changes_is_made_again_and_what_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        let mut made = Made::of(vec![vec![a.clone()], vec![c, b.clone()]]);
        write(&a, "1").unwrap();
        let said = made.get(words).await.unwrap_err();
        assert!(said.contains("/c: No such file"), "{said}");
        write(&b, "bad").unwrap();
        for _ in 0..2 {
            assert_eq!(made.get(words).await.unwrap_err(), "nothing good");
        }
        write(&b, "2").unwrap();
        assert_eq!(made.get(words).await.unwrap(), ("1 2".to_owned(), true));
        assert_eq!(made.get(words).await.unwrap(), ("1 2".to_owned(), false));
        write(&a, "bad").unwrap();
        assert_eq!(made.get(words).await.unwrap(), ("1 2".to_owned(), false));
        remove_file(&a).unwrap();
        assert_eq!(made.get(words).await.unwrap(), ("1 2".to_owned(), false));
        // As it is done by those who know how: another file of the same size in its place.
        write(folder.path().join("new"), "3").unwrap();
        rename(folder.path().join("new"), &a).unwrap();
        assert_eq!(made.get(words).await.unwrap(), ("3 2".to_owned(), true));
    }

    #[tokio::test]
    async fn what_is_no_file_or_too_long_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_path_buf();
        assert!(Made::of(vec![vec![path]]).get(words).await.unwrap_err().contains("expected a file"));
        let long = folder.path().join("long");
        File::create(&long).unwrap().set_len(LENGTH_MAX + 1).unwrap();
        assert!(Made::of(vec![vec![long]]).get(words).await.unwrap_err().contains("expected at most"));
    }

    #[tokio::test]
    async fn a_look_that_was_given_up_is_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, "1").unwrap();
        let mut made = Made::of(vec![vec![path.clone()]]);
        for _ in 0..3 {
            let given_up = tokio::time::timeout(std::time::Duration::ZERO, std::future::pending::<()>());
            tokio::select! { biased; _ = made.get(words) => {}, _ = given_up => {} }
        }
        assert_eq!(made.get(words).await.unwrap().0, "1");
        assert!(made.looking.is_none());
    }

    #[tokio::test]
    async fn of_no_files_it_is_made_once() {
        let mut made = Made::of(Vec::new());
        assert_eq!(made.get(words).await.unwrap(), (String::new(), true));
        assert_eq!(made.get(words).await.unwrap(), (String::new(), false));
    }
}
