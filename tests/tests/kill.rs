//! The handler is killed without warning at the moments that matter: the outage ends as if it never had been.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use cordon::assemble::StoreKind;
use cordon::drill::HandlerKind;
use tests::drills::{self, Directory, Run};
use tests::host_double;

/// The loss at 600 s, the return at 2400 s, every slice, and serving again.
const DURATION_S: u32 = 5000;
/// The handler may come to the same decision a little later after a restart.
const LATER_S: u32 = 90;

/// Around the first symptom, the pre-scaling, the cordon and its gate, the refused latch, the recovery, the window and
/// each slice of the return; times of the run without kills.
const KILLS_S: [u32; 14] = [600, 640, 641, 711, 712, 715, 1200, 2400, 2580, 3000, 3460, 3461, 3820, 4001];

async fn played(kill_at: &[u32], scenario: &str, directory: &Directory) -> Run {
    let mut scenario = drills::scenario(scenario);
    scenario.duration_s = DURATION_S;
    let mut options = drills::options(scenario);
    if !kill_at.is_empty() {
        options.handler = HandlerKind::Child { binary: host_double::binary().unwrap() };
        options.store = StoreKind::Embedded(directory.path().to_owned());
        options.kill_at = kill_at.to_vec();
    }
    drills::run(&options).await
}

fn the_same_end(killed: &Run, undisturbed: &Run) {
    assert_eq!(killed.report.end, undisturbed.report.end);
    let audit = &killed.report.audit;
    assert!(audit.chain_holds);
    assert_eq!(audit.replayed, audit.records);
    let patches = |run: &Run| run.report.origin_patches.len();
    assert!(patches(killed) <= patches(undisturbed), "{:?}", killed.report.origin_patches);
    for kind in ["cordon", "latch", "enable_origin", "open_slice", "serve"] {
        assert_eq!(killed.count(kind), undisturbed.count(kind), "{kind}");
    }
    let decided = |run: &Run| run.report.times.decision_s.unwrap();
    assert!(decided(killed) <= decided(undisturbed) + LATER_S);
}

#[tokio::test]
async fn a_loss_ends_the_same_however_often_the_handler_is_killed() {
    let directory = Directory::new("kill");
    let undisturbed = played(&[], "hard-loss", &directory).await;
    let killed = played(&KILLS_S, "hard-loss", &directory).await;
    the_same_end(&killed, &undisturbed);
    let failed = |run: &Run| run.failed(None).0;
    assert!(
        failed(&killed) <= failed(&undisturbed) * 1.05,
        "{} failed, {} without a kill",
        failed(&killed),
        failed(&undisturbed)
    );
}

/// While Front Door works at the origin's change, before and after it is read back.
#[tokio::test]
async fn an_origin_is_changed_once_although_the_handler_dies_while_it_changes() {
    let directory = Directory::new("kill-latch");
    let undisturbed = played(&[], "contoso-shoes", &directory).await;
    let killed =
        played(&[1200, 1201, 1210, 1300, 1380, 2580, 2581, 2590, 2730], "contoso-shoes", &directory).await;
    the_same_end(&killed, &undisturbed);
    assert_eq!(killed.report.origin_patches.len(), 2);
}
