//! The live account: vaults and items with their ids, keys and versions, service accounts with their rights.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::account::{self, Account, Plan, Right, SharePolicy, User};
use crate::credential::Credential;
use crate::crypto::SymmetricKey;
use crate::encoding::Seed;
use crate::keyset::Keyset;

/// The current state of everything that the account's file described.
pub struct Directory {
    /// The account's own address.
    pub domain: String,
    /// Determines the request limits.
    pub plan: Plan,
    /// The people.
    pub users: Vec<User>,
    /// The share policy.
    pub policy: SharePolicy,
    /// In the order of the file.
    pub vaults: Vec<Vault>,
    /// In the order of the file; none is ever removed.
    pub service_accounts: Vec<ServiceAccount>,
}

/// A vault with its key.
pub struct Vault {
    /// 26 lower-case characters.
    pub id: String,
    /// Not unique.
    pub title: String,
    /// The key that encrypts everything in the vault.
    pub key: SymmetricKey,
    /// Increases with each change of an item.
    pub content_version: u32,
    /// The time when the simulator was started.
    pub created_at: Timestamp,
    /// The time of the last change of an item.
    pub updated_at: Timestamp,
    /// In order.
    pub items: Vec<Item>,
    made: usize,
}

/// An item with its version.
pub struct Item {
    /// 26 lower-case characters.
    pub id: String,
    /// Increases with each change.
    pub version: u32,
    /// The time when the item was created.
    pub created_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
    /// Everything else.
    pub content: account::Item,
}

/// A service account with its current credential.
pub struct ServiceAccount {
    /// Unique.
    pub name: String,
    /// 26 lower-case characters.
    pub uuid: String,
    /// The address in its tokens.
    pub email: String,
    /// Vault id -> rights.
    pub rights: BTreeMap<String, Vec<Right>>,
    /// The credential behind its newest token.
    pub credential: Credential,
    /// Generated on first use, because generating RSA keys is slow.
    pub keyset: Arc<OnceCell<Keyset>>,
    /// Protects the private half of the keyset.
    pub keyset_key: SymmetricKey,
    generation: u32,
}

impl Directory {
    /// The directory of a checked account.
    pub fn new(account: Account, seed: &Seed, now: Timestamp) -> Self {
        let mut directory = Self {
            domain: account.domain,
            plan: account.plan,
            users: account.users,
            policy: account.policy,
            vaults: Vec::new(),
            service_accounts: Vec::new(),
        };
        for (number, vault) in account.vaults.into_iter().enumerate() {
            directory.vaults.push(Vault::new(number, vault, seed, now));
        }
        for account in account.service_accounts {
            directory.add_service_account(account, seed);
        }
        directory
    }

    /// Adds a service account, or replaces the rights of the existing one with that name.
    pub fn add_service_account(&mut self, account: account::ServiceAccount, seed: &Seed) {
        let rights = account
            .vaults
            .into_iter()
            .filter_map(|(named, rights)| Some((self.resolve_vault(&named)?.id.clone(), rights)))
            .collect();
        match self
            .service_accounts
            .iter_mut()
            .find(|known| known.name == account.name)
        {
            Some(known) => known.rights = rights,
            None => self
                .service_accounts
                .push(ServiceAccount::new(account.name, rights, seed)),
        }
    }

    /// A vault by id, in either case.
    pub fn vault(&self, id: &str) -> Option<&Vault> {
        self.vaults
            .iter()
            .find(|vault| vault.id.eq_ignore_ascii_case(id))
    }

    /// A vault by id, or by a title that only one vault has.
    pub fn resolve_vault(&self, named: &str) -> Option<&Vault> {
        self.vault(named).or_else(|| {
            let mut titled = self.vaults.iter().filter(|vault| vault.title == named);
            titled.next().filter(|_| titled.next().is_none())
        })
    }

    /// The same, to change it.
    pub fn resolve_vault_mut(&mut self, named: &str) -> Option<&mut Vault> {
        let id = self.resolve_vault(named)?.id.clone();
        self.vaults.iter_mut().find(|vault| vault.id == id)
    }

    /// A service account by name.
    pub fn service_account(&self, name: &str) -> Option<&ServiceAccount> {
        self.service_accounts
            .iter()
            .find(|account| account.name == name)
    }

    /// The same, to change it.
    pub fn service_account_mut(&mut self, name: &str) -> Option<&mut ServiceAccount> {
        self.service_accounts
            .iter_mut()
            .find(|account| account.name == name)
    }
}

impl Vault {
    fn new(number: usize, vault: account::Vault, seed: &Seed, now: Timestamp) -> Self {
        let of = |part: &str| format!("vault {number} {}: {part}", vault.title);
        let now = whole_seconds(now);
        let mut made = Self {
            id: vault
                .id
                .as_ref()
                .map_or_else(|| seed.uuid(&of("id")), |id| id.to_ascii_lowercase()),
            key: SymmetricKey::new(seed.uuid(&of("key id")), seed.bytes(&of("key"))),
            title: vault.title,
            content_version: 1,
            created_at: now,
            updated_at: now,
            items: Vec::new(),
            made: 0,
        };
        for item in vault.items {
            made.add(item, seed, now);
        }
        made.content_version = 1;
        made
    }

    /// An item by id, in either case.
    pub fn item(&self, id: &str) -> Option<&Item> {
        self.items
            .iter()
            .find(|item| item.id.eq_ignore_ascii_case(id))
    }

    /// The position of an item, by id or by a title that only one item has.
    pub fn resolve_item(&self, named: &str) -> Option<usize> {
        let by_id = self
            .items
            .iter()
            .position(|item| item.id.eq_ignore_ascii_case(named));
        by_id.or_else(|| {
            let titled = |item: &Item| item.content.title == named;
            let first = self.items.iter().position(titled)?;
            let another = self.items[first + 1..].iter().any(titled);
            (!another).then_some(first)
        })
    }

    /// Adds an item.
    pub fn add(&mut self, mut content: account::Item, seed: &Seed, now: Timestamp) -> &Item {
        let purpose = format!("item {} {} of vault {}", self.made, content.title, self.id);
        let id = content
            .id
            .take()
            .map_or_else(|| seed.uuid(&purpose), |id| id.to_ascii_lowercase());
        self.made += 1;
        let now = self.touch(now);
        self.items.push(Item {
            id,
            version: 1,
            created_at: now,
            updated_at: now,
            content,
        });
        &self.items[self.items.len() - 1]
    }

    /// Changes an item.
    pub fn edit(&mut self, place: usize, now: Timestamp, change: impl FnOnce(&mut account::Item)) {
        let now = self.touch(now);
        let item = &mut self.items[place];
        item.version += 1;
        item.updated_at = now;
        change(&mut item.content);
    }

    /// Deletes an item.
    pub fn remove(&mut self, place: usize, now: Timestamp) {
        self.touch(now);
        self.items.remove(place);
    }

    fn touch(&mut self, now: Timestamp) -> Timestamp {
        self.content_version += 1;
        self.updated_at = whole_seconds(now);
        self.updated_at
    }
}

impl ServiceAccount {
    fn new(name: String, rights: BTreeMap<String, Vec<Right>>, seed: &Seed) -> Self {
        let of = |part: &str| format!("service account {name}: {part}");
        let uuid = seed.uuid(&of("id"));
        Self {
            email: format!("{}@1passwordserviceaccounts.com", &uuid[..13]),
            keyset: Arc::default(),
            keyset_key: SymmetricKey::new(seed.uuid(&of("keyset")), seed.bytes(&of("keyset key"))),
            credential: Credential::new(seed, &uuid, 0),
            uuid,
            rights,
            generation: 0,
            name,
        }
    }

    /// Whether the service account has a right in a vault.
    pub fn may(&self, right: Right, vault: &str) -> bool {
        self.rights
            .get(vault)
            .is_some_and(|rights| rights.contains(&right))
    }

    /// Replaces the credential: older tokens can no longer sign in, and their sessions end.
    pub fn rotate(&mut self, seed: &Seed) {
        self.generation += 1;
        self.credential = Credential::new(seed, &self.uuid, self.generation);
    }
}

/// The service writes times in whole seconds.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
