//! What an account can do: sign in, list, read, and share so that only the named recipient can open it.

use std::time::Duration;

use keyloan::onepassword::{
    CallError, Effect, ItemId, ItemState, OnePassword, Problem, Refusal, Route, ShareLifetime,
    ShareTerms, VaultId,
};
use keyloan_simulator::account::{Lifetime, RecipientKind, ShareType};
use keyloan_simulator::{Account, Reason};

use crate::onepassword::world::{ACCOUNT, World, lend, routes, terms};

const SIGN_IN: [Route; 4] = [
    Route::AuthStart,
    Route::Auth,
    Route::AuthConfirmKey,
    Route::AuthComplete,
];

#[tokio::test]
async fn vaults_and_items_are_listed_as_the_account_has_them() {
    let world = World::new().await;
    let account = world.lender().await;
    let mut vaults = account.vaults().await.result.expect("vaults");
    vaults.sort_by(|a, b| a.title.cmp(&b.title));
    let shown: Vec<_> = vaults
        .iter()
        .map(|vault| (&*vault.title, vault.items))
        .collect();
    assert_eq!(shown, [("Finance", Some(1)), ("Infra", Some(4))]);

    let mut items = account.items(&vaults[1].id).await.result.expect("items");
    items.sort_by(|a, b| (&a.title, &a.id).cmp(&(&b.title, &b.id)));
    let shown: Vec<_> = items
        .iter()
        .map(|item| (&*item.title, item.state))
        .collect();
    let (active, archived) = (ItemState::Active, ItemState::Archived);
    assert_eq!(
        shown,
        [
            ("api key", active),
            ("api key", active),
            ("db password", active),
            ("old console", archived),
            ("web console", active),
        ]
    );
    assert_eq!(
        (&*items[2].category, &*items[2].tags),
        ("Database", &["prod".into(), "owner:db-team".into()][..])
    );
}

#[tokio::test]
async fn a_share_shows_the_recipient_the_items_fields() {
    let world = World::new().await;
    let account = world.lender().await;
    let ids = world.find("db password").await;
    let (item, policy, url, _) = lend(&*account, &ids, &terms(&["alice@example.com"])).await;

    assert_eq!(
        (&item.vault, &item.id, &*item.title),
        (&ids.0, &ids.1, "db password")
    );
    assert_eq!(item.tags, ["prod", "owner:db-team"]);
    assert_eq!(policy.max_lifetime, ShareLifetime::ThirtyDays);
    assert!(policy.allows_named_people());

    let opened = world
        .control
        .open(url.expose(), "alice@example.com")
        .await
        .expect("it opens");
    let file = Account::parse(ACCOUNT).expect("the example account");
    let expected = file.vaults[0]
        .items
        .iter()
        .find(|item| item.title == "db password")
        .expect("in the file");
    assert!(opened.is_all_of(expected), "{opened:?}");
}

#[tokio::test]
async fn a_share_opens_for_nobody_else_and_not_for_longer() {
    let world = World::new().await;
    let account = world.lender().await;
    let ids = world.find("db password").await;
    let (.., url, _) = lend(&*account, &ids, &terms(&["alice@example.com"])).await;
    let open = async |email: &str| {
        world
            .control
            .open(url.expose(), email)
            .await
            .map(drop)
            .map_err(|refused| refused.reason)
    };

    assert_eq!(open("bob@example.com").await, Err(Reason::WrongRecipient));
    assert_eq!(
        open("alice+x@example.com").await,
        Err(Reason::WrongRecipient)
    );
    assert_eq!(open("alice@example.com").await, Ok(()));
    let share = world.control.shares().await.expect("shares").remove(0);
    assert_eq!(
        (share.kind, share.recipients),
        (
            ShareType::Authenticated,
            vec!["alice@example.com".to_owned()]
        )
    );
    assert_eq!(
        share.expires_at.duration_since(share.created_at).as_secs(),
        3600
    );

    world
        .control
        .advance_clock(Duration::from_secs(3601))
        .await
        .expect("later");
    assert_eq!(open("alice@example.com").await, Err(Reason::Expired));
}

#[tokio::test]
async fn a_view_once_share_opens_once() {
    let world = World::new().await;
    let account = world.lender().await;
    let ids = world.find("db password").await;
    let once = ShareTerms {
        view_once: true,
        ..terms(&["alice@example.com"])
    };
    let (.., url, _) = lend(&*account, &ids, &once).await;

    assert!(
        world
            .control
            .open(url.expose(), "alice@example.com")
            .await
            .is_ok()
    );
    let again = world.control.open(url.expose(), "alice@example.com").await;
    assert_eq!(again.expect_err("used up").reason, Reason::UsedUp);
}

#[tokio::test]
async fn a_loan_costs_ten_requests_then_four_and_a_renewal_two_or_eight() {
    let world = World::new().await;
    let account = world.lender().await;
    let ids = world.find("db password").await;
    let alice = terms(&["alice@example.com"]);

    let (.., first) = lend(&*account, &ids, &alice).await;
    let of_item = [Route::Vault, Route::Keysets, Route::Item];
    let of_share = [Route::SharePolicy, Route::ShareRecipients, Route::Share];
    let (signed_in, rest) = first.split_at(4);
    assert_eq!(routes(signed_in), SIGN_IN);
    let mut reads = routes(&rest[..3]);
    reads.sort();
    let mut expected = of_item;
    expected.sort();
    assert_eq!(reads, expected);
    assert_eq!(routes(&rest[3..]), of_share);
    assert_eq!(world.new_requests().await, 10);

    let (item, policy, _, warm) = lend(&*account, &ids, &alice).await;
    assert_eq!(
        routes(&warm),
        [
            Route::Item,
            Route::SharePolicy,
            Route::ShareRecipients,
            Route::Share
        ]
    );
    assert_eq!(world.new_requests().await, 4);

    let fetched = account
        .item(&item.vault, &item.id)
        .await
        .result
        .expect("the item");
    let renewed = account.share(&fetched, &policy, &alice).await;
    assert!(renewed.result.is_ok());
    assert_eq!(routes(&renewed.exchanges), [Route::Share]);
    assert_eq!(world.new_requests().await, 2);

    // A client that was dropped signs in first, and reads the vault's key again.
    world.give_up_a_call(&*account).await;
    world.new_requests().await;
    let fetched = account
        .item(&item.vault, &item.id)
        .await
        .result
        .expect("the item");
    assert!(
        account
            .share(&fetched, &policy, &alice)
            .await
            .result
            .is_ok()
    );
    assert_eq!(world.new_requests().await, 8);

    // For another person the recipients are checked, even if they were checked for others before.
    let other = account
        .share(&fetched, &policy, &terms(&["bob@example.com"]))
        .await;
    assert_eq!(
        routes(&other.exchanges),
        [Route::ShareRecipients, Route::Share]
    );
}

#[tokio::test]
async fn a_recipient_outside_of_the_policy_is_refused_and_no_share_is_made() {
    let world = World::new().await;
    let account = world.lender().await;
    let ids = world.find("db password").await;
    let mut policy = world.control.policy().await.expect("the policy");
    policy.members_only = true;
    world
        .control
        .set_policy(&policy)
        .await
        .expect("a stricter policy");

    let item = account.item(&ids.0, &ids.1).await.result.expect("the item");
    let policy = account
        .share_policy(&ids.0, &ids.1)
        .await
        .result
        .expect("the policy");
    let answer = account
        .share(
            &item,
            &policy,
            &terms(&["alice@example.com", "eve@example.com"]),
        )
        .await;
    let error = answer.result.expect_err("refused");
    assert_eq!(error.problem(), Problem::Refused(Refusal::Recipients));
    assert_eq!(error.effect(), Effect::None);
    assert_eq!(routes(&answer.exchanges), [Route::ShareRecipients]);
    assert!(world.control.shares().await.expect("shares").is_empty());
}

#[tokio::test]
async fn what_the_policy_rules_out_is_refused_before_anything_is_created() {
    let world = World::new().await;
    let account = world.lender().await;
    let ids = world.find("db password").await;
    let mut strict = world.control.policy().await.expect("the policy");
    strict.max_lifetime = Lifetime::OneDay;
    world
        .control
        .set_policy(&strict)
        .await
        .expect("a stricter policy");
    let item = account.item(&ids.0, &ids.1).await.result.expect("the item");
    let policy = account
        .share_policy(&ids.0, &ids.1)
        .await
        .result
        .expect("the policy");
    assert_eq!(policy.max_lifetime, ShareLifetime::OneDay);
    strict.recipient_kinds = vec![RecipientKind::Domain];
    world
        .control
        .set_policy(&strict)
        .await
        .expect("a stricter policy");
    let domains = account
        .share_policy(&ids.0, &ids.1)
        .await
        .result
        .expect("the policy");
    assert!(!domains.allows_named_people());
    world.new_requests().await;

    let alice = terms(&["alice@example.com"]);
    let week = ShareTerms {
        lifetime: ShareLifetime::SevenDays,
        ..alice.clone()
    };
    for (policy, terms, refusal) in [
        (&policy, &week, Refusal::Lifetime),
        (&domains, &alice, Refusal::RecipientKind),
    ] {
        let error = account
            .share(&item, policy, terms)
            .await
            .result
            .expect_err("refused");
        assert_eq!(
            (error.problem(), error.effect()),
            (Problem::Refused(refusal), Effect::None)
        );
    }
    assert_eq!(world.new_requests().await, 0);
}

#[tokio::test]
async fn an_archived_item_is_not_active() {
    let world = World::new().await;
    let account = world.lender().await;
    let (vault, item) = world.find("old console").await;
    let error = refused_loan(&*account, &vault, &item).await;
    assert_eq!(
        (error.problem(), error.effect()),
        (Problem::NotActive, Effect::None)
    );
}

#[tokio::test]
async fn who_may_read_only_is_forbidden_to_share() {
    let world = World::new().await;
    let account = world.connect("reader").await;
    let (vault, item) = world.find("db password").await;
    let error = refused_loan(&*account, &vault, &item).await;
    assert_eq!(
        (error.problem(), error.effect()),
        (Problem::Forbidden, Effect::None)
    );
}

#[tokio::test]
async fn an_item_that_is_not_there_is_not_found() {
    let world = World::new().await;
    let account = world.lender().await;
    let (vault, _) = world.find("db password").await;
    let elsewhere = VaultId("nowherebbbbbbbbbbbbbbbbbbb".into());
    for (vault, item) in [
        (&vault, "nothingbbbbbbbbbbbbbbbbbbb"),
        (&elsewhere, "nothingbbbbbbbbbbbbbbbbbbb"),
        (&vault, "not an id"),
    ] {
        let answer = account.item(vault, &ItemId(item.into())).await;
        assert_eq!(
            answer.result.expect_err("missing").problem(),
            Problem::NotFound,
            "{item}"
        );
    }
}

async fn refused_loan(account: &dyn OnePassword, vault: &VaultId, item: &ItemId) -> CallError {
    let fetched = match account.item(vault, item).await.result {
        Ok(fetched) => fetched,
        Err(error) => return error,
    };
    let policy = match account.share_policy(vault, item).await.result {
        Ok(policy) => policy,
        Err(error) => return error,
    };
    account
        .share(&fetched, &policy, &terms(&["alice@example.com"]))
        .await
        .result
        .expect_err("refused")
}
