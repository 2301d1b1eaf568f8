//! Files of snapshots: reading, receiving, hashing, linking. None is ever held in memory as a whole.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use super::manifest::{SnapshotManifest, check_name};
use crate::error::{damaged, file};

/// Open a file of a snapshot for reading from an offset on.
pub fn open_at(folder: &Path, name: &str, offset: u64) -> io::Result<File> {
    check_name(name)?;
    let path = folder.join(name);
    let mut handle = File::open(&path).map_err(file("open", &path))?;
    handle
        .seek(SeekFrom::Start(offset))
        .map_err(file("seek in", &path))?;
    Ok(handle)
}

/// Bytes of a file that are already in a staging folder: where to go on.
pub fn bytes_received(staging: &Path, name: &str) -> io::Result<u64> {
    check_name(name)?;
    let path = staging.join(name);
    match fs::metadata(&path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(file("look at", &path)(error)),
    }
}

/// Open a file in a staging folder for writing at an offset; what was behind it is cut off.
///
/// # Errors
///
/// `InvalidInput` where the file is shorter than the offset: there would be a hole.
pub fn receive_at(staging: &Path, name: &str, offset: u64) -> io::Result<File> {
    let have = bytes_received(staging, name)?;
    let path = staging.join(name);
    if offset > have {
        let message = format!(
            "{} has {have} bytes, cannot go on at {offset}",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut handle = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(file("open", &path))?;
    handle.set_len(offset).map_err(file("truncate", &path))?;
    handle
        .seek(SeekFrom::Start(offset))
        .map_err(file("seek in", &path))?;
    Ok(handle)
}

/// Hash of a file's content, hexadecimal.
pub(crate) fn hash_file(path: &Path) -> io::Result<String> {
    let handle = File::open(path).map_err(file("open", path))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(handle).map_err(file("read", path))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Check all files of a folder against its manifest. A damaged file is removed, so that the next try
/// receives it again.
pub(crate) fn verify(folder: &Path, manifest: &SnapshotManifest) -> io::Result<()> {
    for entry in &manifest.files {
        let path = folder.join(&entry.name);
        let metadata = fs::metadata(&path).map_err(file("look at", &path))?;
        if metadata.len() < entry.bytes {
            return Err(damaged(format_args!(
                "snapshot {} is not complete: {} has {} of {} bytes",
                manifest.id,
                entry.name,
                metadata.len(),
                entry.bytes
            )));
        }
        if metadata.len() > entry.bytes || hash_file(&path)? != entry.blake3 {
            fs::remove_file(&path).map_err(file("remove", &path))?;
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "snapshot {} is damaged: {} is not what its manifest says; \
                     hint: it was removed, receive it again",
                    manifest.id, entry.name
                ),
            ));
        }
    }
    Ok(())
}

/// Put a file into another folder: a second name where it is never changed, a copy where RocksDB writes on.
pub(super) fn link_or_copy(from: &Path, to: &Path, name: &str) -> io::Result<()> {
    let (source, target) = (from.join(name), to.join(name));
    let immutable = is_immutable(name);
    if immutable && fs::hard_link(&source, &target).is_ok() {
        return Ok(());
    }
    fs::copy(&source, &target).map_err(file("copy", &source))?;
    sync_file(&target)
}

/// RocksDB never changes these once they are written, and never gives their name to another.
pub(super) fn is_immutable(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "sst" || extension == "blob")
}

pub(super) fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)
        .and_then(|handle| handle.sync_all())
        .map_err(file("sync", path))
}
