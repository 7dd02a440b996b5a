//! Which login an RTSP server asks for, before the client library gets to know the password.
//!
//! The library answers Basic (RFC 7617), that is, the password in clear text, wherever a server asks for it, and has no say in
//! that. So the server is asked first, on a connection of its own and without a password, what it wants for the stream's
//! description; the library is given the password only where it would answer with Digest (RFC 7616).
//!
//! Whoever stands in between and answers Digest first and Basic afterwards is not found out.

use std::io;

use http_auth::PasswordClient;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::{Host, Url};

/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// The port of RTSP (RFC 2326, section 3.2).
const PORT: u16 = 554;

/// What a server wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing.
    Nothing,
    /// That we know the password, without being told it.
    Digest,
    /// The password in clear text.
    Basic,
    /// Something that neither we nor the library understand.
    Unknown,
}

/// Asks for the description of the stream at `url`, without a login. How long that takes is the caller's to limit.
pub(super) async fn ask(url: &Url) -> io::Result<Asked> {
    let nowhere = || io::Error::new(io::ErrorKind::InvalidInput, "url names no host");
    let port = url.port().unwrap_or(PORT);
    let mut socket = match url.host().ok_or_else(nowhere)? {
        Host::Domain(name) => TcpStream::connect((name, port)).await,
        Host::Ipv4(address) => TcpStream::connect((address, port)).await,
        Host::Ipv6(address) => TcpStream::connect((address, port)).await,
    }?;
    let request =
        format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: cardea\r\nAccept: application/sdp\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let (mut head, mut chunk) = (Vec::new(), [0; 1024]);
    loop {
        let length = socket.read(&mut chunk).await?;
        if length == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection instead of answering"));
        }
        head.extend_from_slice(&chunk[..length]);
        if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            return read(&head[..end])
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its answer is no RTSP"));
        }
        if head.len() > MAX_HEAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the head of its answer has no end"));
        }
    }
}

/// What an answer asks for; `None` if it is none.
fn read(head: &[u8]) -> Option<Asked> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next()?.strip_prefix("RTSP/")?.split(' ').nth(1)?;
    if status != "401" {
        return Some(Asked::Nothing);
    }
    let challenges: Vec<&str> = lines
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("www-authenticate").then(|| value.trim())
        })
        .collect();
    // As the library chooses: the first Digest that it understands, else Basic.
    Some(match PasswordClient::try_from(challenges.join(", ").as_str()) {
        Ok(PasswordClient::Digest(_)) => Asked::Digest,
        Ok(PasswordClient::Basic(_)) => Asked::Basic,
        Ok(_) | Err(_) => Asked::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_what_the_library_would_answer() {
        let asked = |headers: &str| read(format!("RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n{headers}").as_bytes());
        let (digest, basic) =
            ("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n", "www-authenticate: Basic realm=\"r\"\r\n");
        assert_eq!(asked(digest), Some(Asked::Digest));
        assert_eq!(asked(basic), Some(Asked::Basic));
        assert_eq!(asked(&format!("{digest}{basic}")), Some(Asked::Digest));
        assert_eq!(asked(&format!("{basic}{digest}")), Some(Asked::Digest));
        for unknown in [
            "",
            "WWW-Authenticate: Negotiate\r\n",
            "WWW-Authenticate: Digest\r\n",
            "WWW-Authenticate: Digest realm=\"r\"\r\n",
        ] {
            assert_eq!(asked(unknown), Some(Asked::Unknown), "{unknown}");
        }
        assert_eq!(read(b"RTSP/1.0 200 OK\r\nCSeq: 1"), Some(Asked::Nothing));
        for none in [&b"HTTP/1.1 200 OK"[..], b"", b"RTSP/1.0", b"\xFF"] {
            assert_eq!(read(none), None);
        }
    }
}
