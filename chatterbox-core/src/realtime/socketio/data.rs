//! One value per type, attached to a socket.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The embedder's own data about a socket.
#[derive(Debug, Default)]
pub(super) struct Data(RwLock<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Data {
    pub(super) fn insert<T: Send + Sync + 'static>(&self, value: T) {
        let mut values = self.0.write().unwrap_or_else(PoisonError::into_inner);
        values.insert(TypeId::of::<T>(), Arc::new(value));
    }

    pub(super) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let values = self.0.read().unwrap_or_else(PoisonError::into_inner);
        values.get(&TypeId::of::<T>())?.clone().downcast().ok()
    }

    pub(super) fn remove<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let mut values = self.0.write().unwrap_or_else(PoisonError::into_inner);
        values.remove(&TypeId::of::<T>())?.downcast().ok()
    }
}
