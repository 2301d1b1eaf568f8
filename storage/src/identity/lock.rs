//! The lock of a data directory.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{DataDir, IdentityError, make_dir};
use crate::error::file;

/// Held while a process has a data directory open; two processes never share one. The kernel lets it go when
/// the process ends, however it ends.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Lock a data directory, which is made where there is none.
    ///
    /// # Errors
    ///
    /// [`IdentityError::InUse`] where another process holds it.
    pub fn acquire(dir: &Path) -> Result<Self, IdentityError> {
        make_dir(dir)?;
        let path = DataDir::new(dir).lock();
        let handle = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(file("open", &path))?;
        match flock(&handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: handle }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(IdentityError::InUse {
                dir: dir.display().to_string(),
            }),
            Err(error) => Err(file("lock", &path)(io::Error::from(error)).into()),
        }
    }
}
