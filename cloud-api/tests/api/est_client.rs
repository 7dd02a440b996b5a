//! Enrolment by a client that is not ours: curl and openssl, step by step as RFC 7030 writes it.

use std::path::Path;
use std::process::Command;

use cardea_cloud::enrolment::claim_code::ClaimCode;
use cardea_cloud::storage::sites::Scope;
use cardea_protocol::clock::Clock as _;
use cardea_protocol::id::{ControllerId, SiteId};

use super::support::{Cloud, SITE, peer_is_here};

fn installed() -> bool {
    let here = |program: &str| Command::new(program).arg("version").output().is_ok();
    peer_is_here(here("curl") && here("openssl"), "curl and openssl (setup/packages)")
}

/// A client in a folder of its own.
struct Client<'a> {
    folder: &'a Path,
    enrol: u16,
    api: u16,
}

impl Client<'_> {
    /// Runs a script; its standard output.
    #[track_caller]
    fn sh(&self, script: &str) -> String {
        let output = Command::new("bash").args(["-euo", "pipefail", "-c", script]).current_dir(self.folder).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asks for `path`; the status. The answer's head is in `head`, its body in `body`.
    #[track_caller]
    fn curl(&self, port: u16, path: &str, options: &str) -> u16 {
        let status = self.sh(&format!(
            "curl -sS --max-time 20 --cacert ca.pem -D head -o body -w '%{{http_code}}' {options} \
             https://localhost:{port}/.well-known/est/{path}"
        ));
        status.parse().unwrap()
    }

    /// Posts the request in `csr.b64` (§4.2.1, §4.2.2).
    #[track_caller]
    fn post(&self, port: u16, path: &str, options: &str) -> u16 {
        let headers = "-H 'Content-Type: application/pkcs10' -H 'Content-Transfer-Encoding: base64'";
        self.curl(port, path, &format!("{headers} --data-binary @csr.b64 {options}"))
    }

    /// Makes a key and a request for it.
    #[track_caller]
    fn request(&self, key: &str, subject: &str, more: &str) {
        self.sh(&format!(
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {key} && \
             openssl req -new -key {key} -subj '{subject}' {more} -outform DER | openssl base64 > csr.b64"
        ));
    }

    /// The certificates of the answer, PEM, in `into`: what the RFC asks of an answer holds of it (§4.1.3, §4.2.3).
    #[track_caller]
    fn certificates(&self, into: &str) {
        let head = std::fs::read_to_string(self.folder.join("head")).unwrap().to_ascii_lowercase();
        assert!(head.contains("content-type: application/pkcs7-mime; smime-type=certs-only"), "{head}");
        assert!(head.contains("content-transfer-encoding: base64"), "{head}");
        // Without -A: base64 as RFC 2045 §6.8 has it, in lines of 76 characters at most.
        self.sh("test $(wc -L < body) -le 77");
        self.sh(&format!(
            "openssl base64 -d -in body -out body.der && test -s body.der && \
             openssl pkcs7 -inform DER -in body.der -print_certs -out {into}"
        ));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_and_curl_enrol_and_renew_as_the_standard_says() {
    if !installed() {
        return;
    }
    let cloud = Cloud::start().await.with_customer().await;
    let addresses = cloud.server.addresses();
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(&addresses.ca_file, folder.path().join("ca.pem")).unwrap();
    let client = Client { folder: folder.path(), enrol: addresses.enrol.port(), api: addresses.api.port() };
    let (controller, site) = (ControllerId::new("gate-9").unwrap(), SiteId::new(SITE).unwrap());
    let (code, now) = (ClaimCode::generate().unwrap(), cloud.clock.now());
    let (storage, hash) = (&cloud.server.app().storage, code.hash().unwrap());
    storage.register_controller(&Scope::Operator, &controller, &site, hash, now.plus_ms(60_000), now).await.unwrap();
    let user = format!("--user gate-9:{}", code.reveal().as_str());

    // §4.1: the CA.
    assert_eq!(client.curl(client.enrol, "cacerts", ""), 200);
    client.certificates("cacerts.pem");
    client.sh("openssl x509 -in cacerts.pem -outform DER | cmp - <(openssl x509 -in ca.pem -outform DER)");
    // §4.5: there are no attributes to ask for.
    assert_eq!(client.curl(client.enrol, "csrattrs", ""), 404);

    // §4.2.1: a first certificate. Who says nothing is asked for a name and a code (§3.2.3).
    client.request("key1.pem", "/CN=gate-9", "");
    assert_eq!(client.post(client.enrol, "simpleenroll", ""), 401);
    client.sh("grep -qi '^www-authenticate: basic realm=' head");
    assert_eq!(client.post(client.enrol, "simpleenroll", "--user gate-9:0000-0000-0000-0000"), 401);
    client.sh("mv csr.b64 good.b64 && echo bm8gcmVxdWVzdA== > csr.b64");
    assert_eq!(client.post(client.enrol, "simpleenroll", &user), 400);
    client.sh("grep -q 'PKCS#10' body && mv good.b64 csr.b64");
    assert_eq!(client.post(client.enrol, "simpleenroll", &user), 200);
    client.certificates("cert1.pem");
    client.sh("openssl verify -purpose sslclient -CAfile ca.pem cert1.pem");
    client.sh("openssl x509 -in cert1.pem -noout -pubkey | cmp - <(openssl pkey -in key1.pem -pubout)");
    assert_eq!(client.sh("openssl x509 -in cert1.pem -noout -subject -nameopt RFC2253").trim(), "subject=CN=gate-9");
    assert_eq!(client.post(client.enrol, "simpleenroll", &user), 401, "the code is spent");

    // §4.2.2: further ones, on either listener, with the same key (renew) and with another (rekey).
    let shown = "--cert cert1.pem --key key1.pem";
    for (number, port) in [(2, client.enrol), (3, client.api)] {
        client.request(&format!("key{number}.pem"), "/CN=gate-9", "");
        assert_eq!(client.post(port, "simplereenroll", shown), 200);
        client.certificates(&format!("cert{number}.pem"));
        client.sh(&format!("openssl verify -purpose sslclient -CAfile ca.pem cert{number}.pem"));
        let own = format!("--cert cert{number}.pem --key key{number}.pem");
        client.sh(&format!(
            "openssl req -new -key key{number}.pem -subj /CN=gate-9 -outform DER | openssl base64 > csr.b64"
        ));
        assert_eq!(client.post(port, "simplereenroll", &own), 200);

        // Another name, one name more, another kind of key; nobody.
        client.request("other.pem", "/CN=gate-8", "");
        assert_eq!(client.post(port, "simplereenroll", shown), 400);
        client.request("other.pem", "/CN=gate-9", "-addext subjectAltName=DNS:gate-8");
        assert_eq!(client.post(port, "simplereenroll", shown), 400);
        client
            .sh("openssl req -new -newkey rsa:2048 -nodes -keyout rsa.pem -subj /CN=gate-9 -outform DER 2>/dev/null \
                   | openssl base64 > csr.b64");
        assert_eq!(client.post(port, "simplereenroll", shown), 400);
    }
    client.request("other.pem", "/CN=gate-9", "");
    assert_eq!(client.post(client.enrol, "simplereenroll", ""), 403);
    storage.revoke_controller(&Scope::Operator, &controller, now).await.unwrap();
    assert_eq!(client.post(client.enrol, "simplereenroll", shown), 403);
}
