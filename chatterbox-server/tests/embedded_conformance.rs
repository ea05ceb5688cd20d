//! The embedded store behaves as every adapter does.

#![expect(clippy::unwrap_used, reason = "a failure is to end the test")]

use std::ops::Deref;
use std::sync::Arc;

use chatterbox_core::app::jobs::Job;
use chatterbox_core::ids::JobId;
use chatterbox_core::ports::queue::Queue;
use chatterbox_core::ports::storage::{
    BlockStore, ConversationLog, ConversationStore, SessionStore, Stores, UserStore,
};
use chatterbox_core::testkit::samples::now;
use chatterbox_server::adapters::embedded::{EmbeddedStore, FILE_NAME};
use tempfile::TempDir;

/// A port of a store in a directory that goes when the port goes.
struct InTempDir<P: ?Sized> {
    port: Arc<P>,
    _dir: TempDir,
}

impl<P: ?Sized> Deref for InTempDir<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.port
    }
}

fn open<P: ?Sized>(port: impl FnOnce(EmbeddedStore) -> Arc<P>) -> InTempDir<P> {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    InTempDir {
        port: port(store),
        _dir: dir,
    }
}

fn users() -> InTempDir<dyn UserStore> {
    open(|store| store.stores().users)
}

fn sessions() -> InTempDir<dyn SessionStore> {
    open(|store| store.stores().sessions)
}

fn blocks() -> InTempDir<dyn BlockStore> {
    open(|store| store.stores().blocks)
}

struct StoresInTempDir {
    stores: Stores,
    _dir: TempDir,
}

impl Deref for StoresInTempDir {
    type Target = Stores;

    fn deref(&self) -> &Stores {
        &self.stores
    }
}

fn stores() -> StoresInTempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    StoresInTempDir {
        stores: store.stores(),
        _dir: dir,
    }
}

fn conversations() -> InTempDir<dyn ConversationStore> {
    open(|store| store.stores().conversations)
}

fn log() -> InTempDir<dyn ConversationLog> {
    open(|store| store.stores().log)
}

fn queue() -> InTempDir<dyn Queue> {
    open(|store| store.queue())
}

chatterbox_core::user_store_conformance!(async || users());
chatterbox_core::session_store_conformance!(async || sessions());
chatterbox_core::block_store_conformance!(async || blocks());
chatterbox_core::conversation_store_conformance!(async || conversations());
chatterbox_core::private_conversations_conformance!(async || stores());
chatterbox_core::projections_conformance!(async || stores());
chatterbox_core::conversation_lists_conformance!(async || stores());
chatterbox_core::message_store_conformance!(async || stores());
chatterbox_core::conversation_log_conformance!(async || log());
chatterbox_core::queue_conformance!(async || queue());

/// What a newer version has left in the file.
async fn queue_with(id: JobId, job: &'static str) -> InTempDir<dyn Queue> {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    store.queue().push(id, &Job::SweepInvites, now()).await.unwrap();
    store.close().await;
    let file = rusqlite::Connection::open(dir.path().join(FILE_NAME)).unwrap();
    file.execute("UPDATE jobs SET job = ?1", [job]).unwrap();
    drop(file);
    InTempDir {
        port: EmbeddedStore::open(dir.path()).unwrap().queue(),
        _dir: dir,
    }
}

chatterbox_core::unknown_jobs_conformance!(queue_with);
