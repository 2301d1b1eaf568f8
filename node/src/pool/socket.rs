//! The node's Unix socket, for its workers and their callbacks.

use std::fs;
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;

/// The longest path that a socket may have here: the kernel's 108 bytes less the zero, and less what the name
/// gets while the socket is made.
pub const PATH_BYTES_MAX: usize = 100;
/// The socket's name in its folder.
const NAME: &str = "worker.sock";

/// Where the socket of a node with this data folder is: in it, or, where that path would be too long, in a
/// private folder under `/run` or the folder for temporary files, named after a hash of the data folder.
pub fn socket_path(data_dir: &Path) -> io::Result<PathBuf> {
    let data_dir = std::path::absolute(data_dir)?;
    let path = data_dir.join(NAME);
    if fits(&path) {
        return Ok(path);
    }
    let hash = blake3::hash(data_dir.as_os_str().as_encoded_bytes()).to_hex();
    let folder = format!(
        "snakepit-{}-{}",
        rustix::process::geteuid().as_raw(),
        &hash[..16]
    );
    let mut refusal = io::Error::other("its path is too long");
    for parent in [
        PathBuf::from("/run"),
        std::env::temp_dir(),
        PathBuf::from("/tmp"),
    ] {
        let path = parent.join(&folder).join(NAME);
        if !fits(&path) {
            continue;
        }
        match private_folder(&parent.join(&folder)) {
            Ok(()) => return Ok(path),
            Err(error) => refusal = error,
        }
    }
    Err(io::Error::new(
        refusal.kind(),
        format!("no place for the workers' socket: {refusal}; hint: use a shorter data folder"),
    ))
}

fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= PATH_BYTES_MAX
}

/// Make a folder that is ours alone, or see that it is.
fn private_folder(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    if !ours || found.mode() & 0o077 != 0 {
        let text = format!("{} is open to others", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

/// Listen at the path, for this user only (mode 0600). A socket left there by an earlier node is replaced;
/// anything else is not. Must be called in a runtime.
pub fn listen_unix(path: &Path) -> io::Result<UnixListenerStream> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            let text = format!(
                "{} exists and is no socket; hint: move it away",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        _ => {}
    }
    // Under another name until it is closed to others.
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(UnixListenerStream::new(listener))
}

/// Windows of the server on the socket, in bytes: all traffic is local, so only batches must fit.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// A server as the socket wants it: add the worker service and the bridge.
pub fn server() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_folder_gets_a_short_socket() {
        let short = socket_path(Path::new("/srv/snakepit")).unwrap();
        assert_eq!(short, Path::new("/srv/snakepit/worker.sock"));
        let folder = format!("/srv/{}", "x".repeat(200));
        let long = socket_path(Path::new(&folder)).unwrap();
        assert!(fits(&long));
        assert_eq!(long, socket_path(Path::new(&folder)).unwrap());
        fs::remove_dir(long.parent().unwrap()).unwrap();
    }

    #[tokio::test]
    async fn only_this_user_may_dial_and_old_sockets_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        for _ in 0..2 {
            let _listener = listen_unix(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, "data").unwrap();
        assert!(listen_unix(&path).is_err());
    }
}
