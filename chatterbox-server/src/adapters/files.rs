//! Files in a directory (`UPLOAD_DIR`), which several nodes may share.
//!
//! ```text
//! UPLOAD_DIR/incoming/<random>      being written; synced, then renamed to
//! UPLOAD_DIR/originals/7f/<key>     whole: nobody ever sees a part
//! UPLOAD_DIR/derived/03/<key>
//! ```

use std::fmt::Write as _;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use chatterbox_core::ports::blob::{Blob, BlobError, BlobId, Blobs, Intake, Put, Serving, Stored, cut};
use chatterbox_core::tasks::Tasks;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};
use tokio_util::io::ReaderStream;

/// Written at once, however small the pieces are that come.
const WRITE_BYTES: usize = 256 << 10;
/// Read at once.
const READ_BYTES: usize = 64 << 10;
/// What is being written for longer than this was left by a process that died. Other nodes may write here as well.
const ABANDONED_AFTER: Duration = Duration::from_hours(24);
/// For their owner alone.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Blobs as files.
#[derive(Debug)]
pub struct FileBlobs {
    root: PathBuf,
    tasks: Tasks,
}

/// Why a directory can't hold files.
#[derive(Debug, thiserror::Error)]
#[error("UPLOAD_DIR {} can't be used: {source}; it has to be writable for the user that the server runs as", directory.display())]
pub struct FilesOpenError {
    directory: PathBuf,
    source: io::Error,
}

impl FileBlobs {
    /// Uses `directory`, making what is missing, and clears away what dead processes left. Blocks for a moment; later, work
    /// that blocks is done through `tasks`.
    pub fn open(directory: &Path, tasks: &Tasks) -> Result<FileBlobs, FilesOpenError> {
        let failed = |source| FilesOpenError {
            directory: directory.to_owned(),
            source,
        };
        let blobs = FileBlobs {
            root: directory.to_owned(),
            tasks: tasks.clone(),
        };
        make_directory(&blobs.incoming()).map_err(failed)?;
        blobs.clear_abandoned().map_err(failed)?;
        Ok(blobs)
    }

    fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// Nothing but the key is taken from outside, and no key is a path.
    fn path(&self, id: &BlobId) -> PathBuf {
        let spread = |sum: u8, byte: u8| sum.wrapping_mul(31).wrapping_add(byte);
        let shard = id.key().bytes().fold(0, spread);
        let directory = self.root.join(id.space().as_str()).join(format!("{shard:02x}"));
        directory.join(id.key())
    }

    /// By the clock of the file system, which may be another machine's.
    fn clear_abandoned(&self) -> io::Result<()> {
        let probe = Part::named(&self.incoming());
        let now = probe.create_now()?;
        for entry in std::fs::read_dir(self.incoming())? {
            let entry = entry?;
            // One that another node just finished or cleared is gone by itself.
            let Ok(metadata) = entry.metadata() else { continue };
            let age = metadata
                .modified()
                .and_then(|at| now.duration_since(at).map_err(io::Error::other));
            if age.is_ok_and(|age| age > ABANDONED_AFTER) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    async fn open_to_read(&self, id: &BlobId) -> Result<Option<(File, u64)>, BlobError> {
        match File::open(self.path(id)).await {
            Ok(file) => {
                let length = file.metadata().await.map_err(failed)?.len();
                Ok(Some((file, length)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
}

fn failed(error: io::Error) -> BlobError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobError::Full,
        _ => BlobError::Unavailable(Box::new(error)),
    }
}

#[async_trait]
impl Blobs for FileBlobs {
    async fn put(&self, id: &BlobId, put: Put) -> Result<Stored, BlobError> {
        let mut intake = Intake::new(put)?;
        let (part, file) = Part::create(&self.tasks, self.incoming()).await.map_err(failed)?;
        let mut file = BufWriter::with_capacity(WRITE_BYTES, file);
        while let Some(bytes) = intake.next().await? {
            file.write_all(&bytes).await.map_err(failed)?;
        }
        let stored = intake.finish()?;
        file.flush().await.map_err(failed)?;
        file.get_ref().sync_all().await.map_err(failed)?;
        part.become_file(&self.tasks, self.path(id))
            .await
            .map_err(failed)?;
        Ok(stored)
    }

    async fn get(&self, id: &BlobId, range: Option<Range<u64>>) -> Result<Option<Blob>, BlobError> {
        let Some((mut file, length)) = self.open_to_read(id).await? else {
            return Ok(None);
        };
        let range = cut(range, length)?;
        if range.start > 0 {
            file.seek(io::SeekFrom::Start(range.start))
                .await
                .map_err(failed)?;
        }
        let part = file.take(range.end - range.start);
        Ok(Some(Blob {
            length,
            range,
            content: Box::pin(ReaderStream::with_capacity(part, READ_BYTES)),
        }))
    }

    async fn length(&self, id: &BlobId) -> Result<Option<u64>, BlobError> {
        Ok(self.open_to_read(id).await?.map(|(_, length)| length))
    }

    async fn delete(&self, id: &BlobId) -> Result<(), BlobError> {
        match tokio::fs::remove_file(self.path(id)).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    async fn link(&self, _: &BlobId, _: &Serving, _: Duration) -> Result<Option<String>, BlobError> {
        Ok(None)
    }

    async fn works(&self) -> bool {
        Part::create(&self.tasks, self.incoming()).await.is_ok()
    }
}

/// A file that is being written; gone when dropped.
struct Part {
    path: PathBuf,
    /// It became something else.
    is_kept: bool,
}

impl Part {
    /// One of a name that nobody else has; there is no file yet.
    fn named(directory: &Path) -> Part {
        let mut random = [0; 16];
        chatterbox_core::auth::fill_random(&mut random);
        let name = random.iter().fold(String::with_capacity(32), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        });
        Part {
            path: directory.join(name),
            is_kept: false,
        }
    }

    /// Makes the file, and says when that was.
    fn create_now(&self) -> io::Result<SystemTime> {
        std::fs::File::create_new(&self.path)?.metadata()?.modified()
    }

    /// The blocking call owns the part, so that whoever stops waiting for it leaves nothing.
    async fn create(tasks: &Tasks, directory: PathBuf) -> io::Result<(Part, File)> {
        let making = tasks.spawn_blocking(move || {
            let part = Part::named(&directory);
            let file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(FILE_MODE)
                .open(&part.path)?;
            io::Result::Ok((part, file))
        });
        let (part, file) = making.await.map_err(io::Error::other)??;
        Ok((part, File::from_std(file)))
    }

    /// The file is there from now on, also after a power cut.
    async fn become_file(self, tasks: &Tasks, target: PathBuf) -> io::Result<()> {
        let moving = tasks.spawn_blocking(move || {
            let mut part = self;
            let directory = target.parent().unwrap_or(Path::new("."));
            make_directory(directory)?;
            std::fs::rename(&part.path, &target)?;
            part.is_kept = true;
            std::fs::File::open(directory)?.sync_all()
        });
        moving.await.map_err(io::Error::other)?
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_kept {
            // One system call; a task of its own might never run at the process's end.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chatterbox_core::ports::blob::Space;
    use futures_util::stream;
    use tempfile::TempDir;

    use super::*;

    /// Blobs in a directory that goes with them, and that must hold no part by then.
    struct Temporary {
        blobs: FileBlobs,
        directory: TempDir,
    }

    impl std::ops::Deref for Temporary {
        type Target = FileBlobs;
        fn deref(&self) -> &FileBlobs {
            &self.blobs
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                assert_eq!(parts(&self.directory), [""; 0], "parts are left");
            }
        }
    }

    fn parts(directory: &TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(directory.path().join("incoming")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    fn temporary() -> Temporary {
        let directory = tempfile::tempdir().unwrap();
        let blobs = FileBlobs::open(directory.path(), &Tasks::new()).unwrap();
        Temporary { blobs, directory }
    }

    chatterbox_core::blobs_conformance!(async || temporary());

    fn put(text: &'static str) -> Put {
        Put {
            content: Box::pin(stream::iter([Ok(Bytes::from_static(text.as_bytes()))])),
            length: None,
            length_max: 1000,
            sha256: None,
        }
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_cleared_and_what_is_written_now_stays() {
        let world = temporary();
        let incoming = world.directory.path().join("incoming");
        for (name, hours) in [("old", 25), ("new", 0)] {
            let file = std::fs::File::create(incoming.join(name)).unwrap();
            let now = file.metadata().unwrap().modified().unwrap();
            file.set_modified(now - Duration::from_hours(hours)).unwrap();
        }
        FileBlobs::open(world.directory.path(), &Tasks::new()).unwrap();
        assert_eq!(parts(&world.directory), ["new"]);
        std::fs::remove_file(incoming.join("new")).unwrap();
    }

    #[tokio::test]
    async fn files_are_readable_by_their_owner_alone_and_stay_over_restarts() {
        use std::os::unix::fs::PermissionsExt as _;
        let world = temporary();
        let id = BlobId::new(Space::Originals, "507f1f77bcf86cd799439011").unwrap();
        world.put(&id, put("hello")).await.unwrap();
        let path = world.path(&id);
        assert!(path.starts_with(world.directory.path()), "{}", path.display());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let again = FileBlobs::open(world.directory.path(), &Tasks::new()).unwrap();
        assert_eq!(again.length(&id).await.unwrap(), Some(5));
    }

    #[test]
    fn a_directory_that_can_not_be_used_is_named_with_its_variable() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = FileBlobs::open(file.path(), &Tasks::new())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("UPLOAD_DIR /"), "{error}");
    }
}
