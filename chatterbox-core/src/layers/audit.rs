use async_trait::async_trait;

use super::Carry;
use crate::app::Effect;

/// Writes what an operator wants to find again to the log, under the target `audit`.
#[derive(Debug, Clone)]
pub struct Audit;

#[async_trait]
impl Carry for Audit {
    async fn carry(&self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Audit { what, user } = effect {
                tracing::info!(target: "audit", { user.id = %user }, "{what}: user {user}");
            }
        }
    }
}
