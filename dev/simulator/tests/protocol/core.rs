//! The client's side of the protocol, written from its description and sharing no code with the simulator: it plays the
//! SDK core, and misbehaves where a test wants it to.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::{hkdf, hmac};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use pkcs1::der::Encode;
use serde_json::{Value, json};

use crate::srp_client::SrpClient;

/// A parsed token.
#[derive(Clone)]
pub struct Token(pub Value);

impl Token {
    pub fn parse(token: &str) -> Self {
        let json = BASE64URL_NOPAD
            .decode(token.strip_prefix("ops_").unwrap().as_bytes())
            .unwrap();
        Self(serde_json::from_slice(&json).unwrap())
    }

    pub fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap()
    }

    pub fn account_key_uuid(&self) -> &str {
        self.text("secretKey").split('-').nth(1).unwrap()
    }

    pub fn origin(&self) -> &str {
        self.text("signInAddress")
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<u64>,
    pub date: String,
    /// Decrypted, where it was encrypted; null where it is no JSON.
    pub body: Value,
}

/// A client at some point of its sign-in.
#[derive(Clone)]
pub struct Core {
    pub token: Token,
    pub http: reqwest::Client,
    pub session: String,
    pub key: [u8; 32],
    pub counter: u64,
}

impl Core {
    /// All four steps.
    pub async fn sign_in(token: &str) -> Result<Self, Answer> {
        let (mut core, client) = Self::start(token).await?;
        let proof = core.exchange(&client).await?;
        core.confirm(&proof).await?;
        let done = core.post(
            "/api/v2/auth/complete",
            json!({ "client": "1Password SDK/0050001", "device": null }),
        );
        let done = done.await;
        if done.status != 200 {
            return Err(done);
        }
        assert!(done.body["userUuid"].is_string());
        Ok(core)
    }

    /// Step 1.
    pub async fn start(token: &str) -> Result<(Self, Value), Answer> {
        let token = Token::parse(token);
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let mut core = Self {
            token,
            http,
            session: String::new(),
            key: [0; 32],
            counter: 7_000_000,
        };
        let start = json!({
            "email": core.token.text("email"), "skFormat": "A3",
            "skid": core.token.account_key_uuid(), "deviceUuid": core.token.text("deviceUuid"),
        });
        let answer = core.clear("/api/v3/auth/start", start).await;
        if answer.status != 200 {
            return Err(answer);
        }
        assert_eq!(answer.body["status"], "ok");
        assert_eq!(answer.body["accountKeyUuid"], core.token.account_key_uuid());
        core.session = answer.body["sessionID"].as_str().unwrap().to_owned();
        Ok((core, answer.body["userAuth"].clone()))
    }

    /// Step 2: sets the session's key and answers the two proofs.
    pub async fn exchange(&mut self, user_auth: &Value) -> Result<Proofs, Answer> {
        let x = HEXLOWER.decode(self.token.text("srpX").as_bytes()).unwrap();
        let client = SrpClient::new(&x);
        let answer = self
            .clear("/api/v2/auth", json!({ "userA": client.public_hex() }))
            .await;
        if answer.status != 200 {
            return Err(answer);
        }
        let salt = BASE64URL_NOPAD
            .decode(user_auth["salt"].as_str().unwrap().as_bytes())
            .unwrap();
        let email = self.token.text("email");
        let proofs = client.prove(
            answer.body["userB"].as_str().unwrap(),
            self.token.account_key_uuid(),
            email,
            &salt,
        );
        self.key = proofs.key;
        Ok(proofs)
    }

    /// Step 3.
    pub async fn confirm(&self, proofs: &Proofs) -> Result<(), Answer> {
        let hash = BASE64URL_NOPAD.encode(&proofs.client);
        let answer = self
            .clear(
                "/api/v2/auth/confirm-key",
                json!({ "clientVerifyHash": hash }),
            )
            .await;
        if answer.status != 200 {
            return Err(answer);
        }
        assert_eq!(
            answer.body["serverVerifyHash"],
            BASE64URL_NOPAD.encode(&proofs.server)
        );
        Ok(())
    }

    /// A request of the clear part of the sign-in.
    pub async fn clear(&self, path: &str, body: Value) -> Answer {
        let mut request = self
            .http
            .post(format!("{}{path}", self.token.origin()))
            .json(&body);
        if !self.session.is_empty() {
            request = request.header("x-agilebits-session-id", &self.session);
        }
        self.answer(request.send().await.unwrap()).await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, None).await.unwrap()
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.send("POST", path, Some(body)).await.unwrap()
    }

    /// A request with the next counter.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Answer> {
        self.counter += 1;
        let mac = self.mac(method, path, self.counter);
        let body = body.map(|body| seal(&self.key, &self.session, body.to_string().as_bytes()));
        self.send_as(method, path, body, &mac).await
    }

    /// A request with any body and MAC.
    pub async fn send_as(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        mac: &str,
    ) -> reqwest::Result<Answer> {
        let url = format!("{}{path}", self.token.origin());
        let mut request = self
            .http
            .request(method.parse().unwrap(), url)
            .header("x-agilebits-session-id", &self.session)
            .header("x-agilebits-mac", mac);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Ok(self.answer(request.send().await?).await)
    }

    /// The MAC of a request.
    pub fn mac(&self, method: &str, path: &str, counter: u64) -> String {
        let purpose = b"He never wears a Mac, in the pouring rain. Very strange.";
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.key), purpose);
        let path = if path.contains('?') {
            path.to_owned()
        } else {
            format!("{path}?")
        };
        let message = format!("{}|{method}|127.0.0.1{path}|v1|{counter}", self.session);
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()),
            message.as_bytes(),
        );
        format!(
            "v1|{counter}|{}",
            BASE64URL_NOPAD.encode(&tag.as_ref()[..12])
        )
    }

    async fn answer(&self, response: reqwest::Response) -> Answer {
        let header = |name| {
            response
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let status = response.status().as_u16();
        let retry_after = header("retry-after").and_then(|seconds| seconds.parse().ok());
        let date = header("date").unwrap();
        let mut body: Value = response.json().await.unwrap_or_default();
        if body["enc"] == "A256GCM" && status == 200 {
            assert_eq!(body["kid"], self.session);
            body = open_json(&self.key, &body);
        }
        Answer {
            status,
            retry_after,
            date,
            body,
        }
    }

    /// A vault's key, by way of the token's master key and the keyset.
    pub async fn vault_key(&mut self, vault: &str) -> VaultKey {
        let keysets = self.get("/api/v2/account/keysets").await.body;
        assert_eq!(keysets["version"], 1);
        let keyset = &keysets["keysets"][0];
        let master = jwk_bytes(&self.token.0["muk"], "k");
        let symmetric = open_json(&master, &keyset["encSymKey"]);
        assert_eq!(symmetric["kid"], keyset["uuid"]);
        let private = open_json(&jwk_bytes(&symmetric, "k"), &keyset["encPriKey"]);
        let vault = self
            .get(&format!("/api/v3/vault/{vault}?attrs=combined-access"))
            .await
            .body;
        let wrapped = &vault["combinedAccess"]["encVaultKey"];
        assert_eq!(
            (&wrapped["enc"], &wrapped["kid"]),
            (&json!("RSA-OAEP"), &keyset["uuid"])
        );
        let jwk: Value = serde_json::from_slice(&unwrap(&private, wrapped)).unwrap();
        VaultKey {
            kid: jwk["kid"].as_str().unwrap().into(),
            bytes: jwk_bytes(&jwk, "k"),
            vault,
        }
    }

    /// A share request for an item as it is now, made out to some recipients, for an hour.
    pub async fn draft(&mut self, vault: &str, item: &str, recipients: &[&str]) -> (Value, String) {
        let key = self.vault_key(vault).await;
        let item = self
            .get(&format!("/api/v1/vault/{vault}/item/{item}"))
            .await
            .body["item"]
            .clone();
        let secret: [u8; 32] = aws_lc_rs::rand::generate(&aws_lc_rs::rand::SystemRandom::new())
            .unwrap()
            .expose();
        let text = BASE64URL_NOPAD.encode(&secret);
        let uuid = BASE32_NOPAD
            .encode(&expand::<16>(&secret, "share_item_uuid"))
            .to_lowercase();
        let share_key: [u8; 32] = expand(&secret, "share_item_encryption_key");
        let copy = |part: &Value| seal(&share_key, &uuid, &open(&key.bytes, part));
        let recipients: Vec<Value> = recipients
            .iter()
            .map(|recipient| match recipient.contains('@') {
                true => json!({ "type": "E", "email": recipient }),
                false => json!({ "type": "D", "domain": recipient }),
            })
            .collect();
        let draft = json!({
            "uuid": uuid,
            "token": BASE32_NOPAD.encode(&expand::<16>(&secret, "share_item_token")).to_lowercase(),
            "vaultUuid": vault, "itemUuid": item["uuid"], "itemVersion": item["itemVersion"],
            "encOverview": copy(&item["encOverview"]), "encDetails": copy(&item["encDetails"]),
            "encShareSecret": seal(&key.bytes, &key.kid, text.as_bytes()),
            "fileReferences": null, "type": "A", "recipients": recipients, "expiry": 3600,
        });
        (draft, text)
    }

    /// Creates a share and answers the whole link, or the refusal's status.
    pub async fn share(&mut self, draft: Value, secret: &str) -> Result<String, u16> {
        let answer = self.post("/api/v4/itemshare", draft).await;
        match answer.body["url"].as_str() {
            Some(url) if answer.status == 200 => Ok(format!("{url}#{secret}")),
            _ => Err(answer.status),
        }
    }
}

/// What the exchange of public values gives.
pub struct Proofs {
    pub key: [u8; 32],
    pub client: [u8; 32],
    pub server: [u8; 32],
}

/// A vault's key, and the vault as it was listed.
pub struct VaultKey {
    pub kid: String,
    pub bytes: [u8; 32],
    pub vault: Value,
}

impl VaultKey {
    pub fn title(&self) -> String {
        open_json(&self.bytes, &self.vault["encAttrs"])["name"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

fn jwk_bytes(jwk: &Value, field: &str) -> [u8; 32] {
    BASE64URL_NOPAD
        .decode(jwk[field].as_str().unwrap().as_bytes())
        .unwrap()
        .try_into()
        .unwrap()
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap())
}

pub fn seal(key: &[u8; 32], kid: &str, plaintext: &[u8]) -> Value {
    let iv: [u8; 12] = aws_lc_rs::rand::generate(&aws_lc_rs::rand::SystemRandom::new())
        .unwrap()
        .expose();
    let mut data = plaintext.to_vec();
    let nonce = Nonce::assume_unique_for_key(iv);
    cipher(key)
        .seal_in_place_append_tag(nonce, Aad::empty(), &mut data)
        .unwrap();
    json!({
        "cty": "b5+jwk+json", "enc": "A256GCM", "kid": kid,
        "iv": BASE64URL_NOPAD.encode(&iv), "data": BASE64URL_NOPAD.encode(&data),
    })
}

pub fn open(key: &[u8; 32], envelope: &Value) -> Vec<u8> {
    let bytes = |field: &str| {
        BASE64URL_NOPAD
            .decode(envelope[field].as_str().unwrap().as_bytes())
            .unwrap()
    };
    let nonce = Nonce::try_assume_unique_for_key(&bytes("iv")).unwrap();
    cipher(key)
        .open_in_place(nonce, Aad::empty(), &mut bytes("data"))
        .unwrap()
        .to_vec()
}

pub fn open_json(key: &[u8; 32], envelope: &Value) -> Value {
    serde_json::from_slice(&open(key, envelope)).unwrap()
}

/// RSA-OAEP with the key that a JWK spells out, every number of it used.
fn unwrap(jwk: &Value, envelope: &Value) -> Vec<u8> {
    let bytes = |value: &Value| {
        BASE64URL_NOPAD
            .decode(value.as_str().unwrap().as_bytes())
            .unwrap()
    };
    let [n, e, d, p, q, dp, dq, qi] =
        ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(|part| bytes(&jwk[part]));
    let number = |bytes| pkcs1::UintRef::new(bytes).unwrap();
    let key = pkcs1::RsaPrivateKey {
        modulus: number(&n),
        public_exponent: number(&e),
        private_exponent: number(&d),
        prime1: number(&p),
        prime2: number(&q),
        exponent1: number(&dp),
        exponent2: number(&dq),
        coefficient: number(&qi),
        other_prime_infos: None,
    };
    let der = encoded(&key);
    let rsa_encryption = pkcs8::AlgorithmIdentifierRef {
        oid: pkcs8::ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
        parameters: Some(pkcs8::der::asn1::AnyRef::NULL),
    };
    let pkcs8 = encoded(&pkcs8::PrivateKeyInfo::new(rsa_encryption, &der));
    let key =
        OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(&pkcs8).unwrap()).unwrap();
    let mut plaintext = vec![0; key.min_output_size()];
    key.decrypt(
        &OAEP_SHA1_MGF1SHA1,
        &bytes(&envelope["data"]),
        &mut plaintext,
        None,
    )
    .unwrap()
    .to_vec()
}

fn encoded(value: &impl Encode) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    value.encode_to_slice(&mut buffer).unwrap().to_vec()
}

fn expand<const N: usize>(secret: &[u8], info: &str) -> [u8; N] {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut bytes = [0; N];
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
    extracted
        .expand(&[info.as_bytes()], Length(N))
        .unwrap()
        .fill(&mut bytes)
        .unwrap();
    bytes
}
