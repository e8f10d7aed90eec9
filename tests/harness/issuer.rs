//! An identity provider: keys of its own, tokens signed with them, and the key set that it publishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::Authority;
use crate::token::with_expiry;

/// A private key with an identifier.
#[derive(Clone)]
pub struct SigningKey {
    id: String,
    algorithm: Algorithm,
    private: EncodingKey,
    public: Vec<u8>,
}

impl SigningKey {
    /// A new key for this algorithm, HMAC excepted.
    #[must_use]
    pub fn new(id: &str, algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let spki = |key: PublicKeyX509Der<'_>| key.as_ref().to_vec();
        let (private, public) = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => {
                let curve = match algorithm {
                    Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
                    _ => &ECDSA_P384_SHA384_FIXED_SIGNING,
                };
                let private = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(curve, private.as_ref()).unwrap();
                (EncodingKey::from_ec_der(private.as_ref()), spki(pair.public_key().as_der().unwrap()))
            }
            Algorithm::EdDSA => {
                let private = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                let pair = Ed25519KeyPair::from_pkcs8(private.as_ref()).unwrap();
                (EncodingKey::from_ed_der(private.as_ref()), spki(pair.public_key().as_der().unwrap()))
            }
            _ => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                let pem = pem("PRIVATE KEY", private.as_ref());
                (
                    EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
                    spki(pair.public_key().as_der().unwrap()),
                )
            }
        };
        Self { id: id.to_owned(), algorithm, private, public }
    }

    /// The same key for another algorithm of its family.
    #[must_use]
    pub fn used_with(&self, algorithm: Algorithm) -> Self {
        Self { id: self.id.clone(), algorithm, private: self.private.clone(), public: self.public.clone() }
    }

    /// A token with these claims and the key's identifier; about `exp` see [`token`](crate::token()).
    #[must_use]
    pub fn token(&self, claims: Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) };
        self.token_with(&header, claims)
    }

    /// A token with this header, whatever it says.
    #[must_use]
    pub fn token_with(&self, header: &Header, claims: Value) -> String {
        jsonwebtoken::encode(header, &with_expiry(claims), &self.private).unwrap()
    }

    /// What this key makes of any two texts as header and claims.
    #[must_use]
    pub fn sign(&self, header: &str, claims: &str) -> String {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let message = format!("{header}.{claims}");
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.private, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    /// The public key in PEM.
    #[must_use]
    pub fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.public)
    }

    /// The public key as identity providers publish it, with `kid` and `use` and without `alg`.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = match self.algorithm {
            // The library does not read the keys that its own dependency makes; the point ends the key's DER (RFC 8410).
            Algorithm::EdDSA => {
                let point = self.public.last_chunk::<32>().expect("a key of 32 bytes");
                json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(point)})
            }
            algorithm => {
                let jwk = Jwk::from_encoding_key(&self.private, algorithm).unwrap();
                serde_json::to_value(jwk).unwrap()
            }
        };
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk.as_object_mut().unwrap().remove("alg");
        jwk
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// What a key server answers with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200 with this body.
    Body(String),
    /// This status line's code, with an empty body and perhaps a `Location`.
    Status(u16, Option<String>),
    /// Nothing: it takes the request and keeps the connection.
    Silence,
    /// A body that never ends.
    Endless,
    /// It closes the connection.
    Hangup,
}

/// Publishes a key set on a port of its own.
#[derive(Debug)]
pub struct KeyServer {
    url: String,
    answer: watch::Sender<Answer>,
    fetches: Arc<AtomicUsize>,
}

impl KeyServer {
    /// A server that publishes these keys over HTTP.
    pub async fn start(keys: &[&SigningKey]) -> Self {
        Self::start_as("http", None, keys).await
    }

    /// A server that publishes these keys over HTTPS, with a certificate of this authority.
    pub async fn start_tls(keys: &[&SigningKey], authority: &Authority) -> Self {
        Self::start_as("https", Some(authority.acceptor()), keys).await
    }

    async fn start_as(scheme: &str, tls: Option<TlsAcceptor>, keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://{}/.well-known/jwks.json", listener.local_addr().unwrap());
        let (answer, answers) = watch::channel(Answer::Silence);
        let fetches = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&fetches);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, answers, counter) = (tls.clone(), answers.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, answers, counter).await,
                        // Whoever does not trust it goes without having asked.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, answers, counter).await;
                            }
                        }
                    }
                });
            }
        });
        let server = Self { url, answer, fetches };
        server.publish(keys);
        server
    }

    /// Where the keys are.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Publishes these keys from now on.
    pub fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.answer(Answer::Body(json!({ "keys": keys }).to_string()));
    }

    /// Answers like this from now on.
    pub fn answer(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }

    /// How many requests there have been.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

/// Answers one request. What the client does meanwhile is its own affair.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answers: watch::Receiver<Answer>,
    fetches: Arc<AtomicUsize>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    // Taken before it is counted, so that whoever has seen the count knows which answer there will be.
    let answer = answers.borrow().clone();
    fetches.fetch_add(1, Ordering::SeqCst);
    let (status, headers, body) = match answer {
        Answer::Body(body) => (200, String::new(), body),
        Answer::Status(status, location) => {
            let location = location.map(|to| format!("Location: {to}\r\n")).unwrap_or_default();
            (status, location, String::new())
        }
        Answer::Silence => return std::future::pending().await,
        Answer::Hangup => return,
        Answer::Endless => {
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
            while stream.write_all(&[b' '; 4096]).await.is_ok() {}
            return;
        }
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} -\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    );
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
}
