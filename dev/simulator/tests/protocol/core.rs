//! The client's side of the protocol, written from its description without sharing code with the
//! simulator. It plays the SDK core, and misbehaves where a test needs it to.

use aws_lc_rs::hmac;
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};

use crate::envelope::{expand, jwk_bytes, open, open_json, random, seal, unwrap_rsa};
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

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<u64>,
    pub date: String,
    /// Decrypted if it was encrypted; null if it is not JSON.
    pub body: Value,
}

/// A client at some step of its sign-in.
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
        let http = http();
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

    /// Step 2: sets the session's key and returns the two proofs.
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

    /// An unencrypted request of the sign-in.
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

    /// A vault's key, unwrapped with the token's master key and the keyset.
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
        let jwk: Value = serde_json::from_slice(&unwrap_rsa(&private, wrapped)).unwrap();
        VaultKey {
            kid: jwk["kid"].as_str().unwrap().into(),
            bytes: jwk_bytes(&jwk, "k"),
            vault,
        }
    }

    /// A share request for the current version of an item, for some recipients and one hour.
    pub async fn draft(&mut self, vault: &str, item: &str, recipients: &[&str]) -> (Value, String) {
        let key = self.vault_key(vault).await;
        let item = self
            .get(&format!("/api/v1/vault/{vault}/item/{item}"))
            .await
            .body["item"]
            .clone();
        let secret: [u8; 32] = random();
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

    /// Creates a share and returns the whole link, or the status of the refusal.
    pub async fn share(&mut self, draft: Value, secret: &str) -> Result<String, u16> {
        let answer = self.post("/api/v4/itemshare", draft).await;
        match answer.body["url"].as_str() {
            Some(url) if answer.status == 200 => Ok(format!("{url}#{secret}")),
            _ => Err(answer.status),
        }
    }
}

/// A client with the headers that the core sends.
fn http() -> reqwest::Client {
    let headers = [
        ("x-agilebits-client", "1Password SDK/0040001"),
        ("op-user-agent", "1|2|3|device"),
    ];
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent("1Password Test SDK")
        .default_headers(headers.into_iter().collect())
        .build()
        .unwrap()
}

/// The result of the exchange of public values.
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
