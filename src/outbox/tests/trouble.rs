//! The store's own failures: it panics, it fails for good, it never comes back. Each is noticed, and the next start finds
//! all that was told.

use super::*;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::outbox::keeper::open_on;
use crate::outbox::store::sled_files::{SledFiles, SledSegment};
use crate::outbox::store::{Key, Segment, Store, StoreError};
use crate::pulse::Looks;

const NONE: u8 = 0;
/// The next sync fails, later ones do not.
const FAILS_ONCE: u8 = 1;
const FAILS: u8 = 2;
/// A panic that nobody catches on the way.
const PANICS: u8 = 3;
/// A sync that never returns.
const SYNC_HANGS: u8 = 4;
/// A sync that fails, and then a drop that never returns.
const CLOSE_HANGS: u8 = 5;

/// Real files under a store that can be told to fail.
#[derive(Clone)]
struct Troubled {
    trouble: Arc<AtomicU8>,
}

struct TroubledSegment {
    segment: SledSegment,
    trouble: Arc<AtomicU8>,
}

/// Until the process ends, as a thread that sled has left alone.
fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

impl Troubled {
    fn around(&self, segment: SledSegment) -> TroubledSegment {
        TroubledSegment { segment, trouble: Arc::clone(&self.trouble) }
    }
}

impl Store for Troubled {
    type Segment = TroubledSegment;

    fn make(&self, segment: &Path) -> Result<TroubledSegment, StoreError> {
        SledFiles.make(segment).map(|segment| self.around(segment))
    }

    fn open(&self, segment: &Path) -> Result<TroubledSegment, StoreError> {
        SledFiles.open(segment).map(|segment| self.around(segment))
    }

    fn raw(&self, segment: &Path) -> io::Result<Vec<u8>> {
        SledFiles.raw(segment)
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        SledFiles.names(directory)
    }

    fn make_directory(&self, directory: &Path) -> io::Result<()> {
        SledFiles.make_directory(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SledFiles.rename(from, to)
    }

    fn remove(&self, directory: &Path) -> io::Result<()> {
        SledFiles.remove(directory)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        SledFiles.sync_directory(directory)
    }

    fn disk_bytes(&self, directory: &Path) -> u64 {
        SledFiles.disk_bytes(directory)
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        SledFiles.free_bytes(directory)
    }

    fn reserve(&self, file: &Path, bytes: u64) -> io::Result<()> {
        SledFiles.reserve(file, bytes)
    }

    fn give_up(&self, file: &Path) -> io::Result<()> {
        SledFiles.give_up(file)
    }
}

impl Segment for TroubledSegment {
    fn put(&mut self, values: &[(Key, Vec<u8>)], marks: &[(&str, Vec<u8>)]) -> Result<(), StoreError> {
        self.segment.put(values, marks)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let failure = || Err(StoreError::Panicked("a thread of the database's".into()));
        match self.trouble.load(Ordering::SeqCst) {
            NONE => self.segment.sync(),
            FAILS_ONCE => {
                self.trouble.store(NONE, Ordering::SeqCst);
                failure()
            }
            PANICS => panic!("a panic on the outbox's thread"),
            SYNC_HANGS => hang(),
            _ => failure(),
        }
    }

    fn sync_new(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        self.segment.sync_new()
    }

    fn close(self) -> Result<(), StoreError> {
        match self.trouble.load(Ordering::SeqCst) {
            CLOSE_HANGS => hang(),
            _ => self.segment.close(),
        }
    }
}

/// An outbox with twenty readings told, into which this trouble comes with the twenty-first.
struct Story {
    folder: tempfile::TempDir,
    pulse: Pulse,
    opened: Opened,
    told: Vec<String>,
    last: Receipt,
}

async fn with_trouble(trouble: u8) -> Story {
    let folder = tempfile::tempdir().unwrap();
    let store_of_it = Troubled { trouble: Arc::default() };
    let switch = Arc::clone(&store_of_it.trouble);
    let pulse = Pulse::new("outbox");
    let opened = open_on(store_of_it, config(&folder.path().join("outbox")), pulse.clone()).unwrap();
    let told = store(&opened.outbox, 1..=20).await;
    switch.store(trouble, Ordering::SeqCst);
    let last = opened.outbox.append(&reading(21)).await.unwrap();
    Story { folder, pulse, opened, told, last }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &copied),
            false => assert!(std::fs::copy(&path, &copied).is_ok()),
        }
    }
}

impl Story {
    /// What a fresh process would find. The stuck thread has the lock for as long as this process lives, so it is a copy
    /// that is opened.
    async fn next_start_is_whole(&self) {
        let copied = self.folder.path().join("copy");
        copy(&self.folder.path().join("outbox"), &copied);
        let next = open_small(&copied);
        let found: Vec<String> =
            drain(&next.outbox, Lane::Readings).await.iter().map(|it| it.name.id("gw-1")).collect();
        // The twenty-first was not told; it may be there.
        assert_eq!(found[..20], self.told);
        assert!(found.len() <= 21, "{found:?}");
        let stats = next.outbox.stats().await.unwrap();
        assert_eq!((stats.readings.lost, stats.quarantined_segments), (0, 0));
        store(&next.outbox, [22]).await;
        next.outbox.close().await.unwrap();
    }
}

/// As the watcher looks, but for three seconds only; the thread turns once a second.
fn until_stuck(pulse: Pulse) {
    let mut looks = Looks::at(pulse);
    for _ in 0..600 {
        if looks.look() >= 30 {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("after a minute the thread still turns");
}

#[tokio::test]
async fn one_failure_is_mended_without_anybody_noticing() {
    let story = with_trouble(FAILS_ONCE).await;
    let name = story.last.await.unwrap();
    assert_eq!(name.sequence, 21);
    assert_eq!(drain(&story.opened.outbox, Lane::Readings).await.len(), 21);
    story.opened.outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_store_that_fails_again_after_a_fresh_segment_ends_the_thread_with_its_reason() {
    let mut story = with_trouble(FAILS).await;
    let why = (&mut story.opened.failed).await.unwrap();
    assert!(why.contains("a thread of the database's"), "{why}");
    assert!(matches!((&mut story.last).await, Err(AppendError::Store(_))));
    story.next_start_is_whole().await;
}

#[tokio::test]
async fn a_panic_on_the_outboxs_thread_is_noticed_at_once() {
    let mut story = with_trouble(PANICS).await;
    (&mut story.opened.failed).await.unwrap_err();
    assert_eq!((&mut story.last).await, Err(AppendError::Closed(Closed)));
    story.next_start_is_whole().await;
}

#[tokio::test]
async fn a_sync_or_a_drop_that_never_returns_is_noticed_by_the_watcher() {
    for trouble in [SYNC_HANGS, CLOSE_HANGS] {
        let story = with_trouble(trouble).await;
        let pulse = story.pulse.clone();
        let noticed = tokio::task::spawn_blocking(move || until_stuck(pulse));
        tokio::time::timeout(Duration::from_secs(60), noticed).await.expect("noticed").unwrap();
        story.next_start_is_whole().await;
    }
}

#[tokio::test]
async fn a_thread_that_turns_is_left_alone_however_idle() {
    let story = with_trouble(NONE).await;
    assert_eq!(story.last.await.unwrap().sequence, 21);
    let (tell, told) = std::sync::mpsc::channel();
    let pulse = story.pulse.clone();
    std::thread::spawn(move || {
        until_stuck(pulse);
        tell.send(())
    });
    assert!(told.recv_timeout(Duration::from_secs(5)).is_err(), "an idle thread was called stuck");
    story.opened.outbox.close().await.unwrap();
}
