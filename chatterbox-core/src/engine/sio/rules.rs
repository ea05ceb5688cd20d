//! What a server allows on its connections: one value, shared by all of them.

use std::time::Duration;

/// A namespace of a server, as an index into its [`Rules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceId(pub(super) u32);

impl NamespaceId {
    /// The index: the order in which the namespaces were given to [`Rules::new`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The known namespaces and the limits of the Socket.IO layer.
///
/// Only known namespaces can be joined: a client can't make the server keep state for names it invents
/// (THREATS.md B7).
#[derive(Debug, Clone)]
pub struct Rules {
    pub(super) namespaces: Box<[Box<str>]>,
    /// Sum of the attachments of one packet, in bytes. 1,000,000 by default.
    pub attachment_bytes_max: usize,
    /// From a binary packet's header to its last attachment. 5 s by default.
    pub attachments_within: Duration,
}

impl Rules {
    /// These namespaces, with the default limits. Names begin with `/`.
    pub fn new<N: Into<Box<str>>>(namespaces: impl IntoIterator<Item = N>) -> Rules {
        Rules {
            namespaces: namespaces.into_iter().map(Into::into).collect(),
            attachment_bytes_max: 1_000_000,
            attachments_within: Duration::from_secs(5),
        }
    }

    /// All namespaces with their names, in the order of their ids.
    pub fn namespaces(&self) -> impl Iterator<Item = (NamespaceId, &str)> {
        (0..)
            .map(NamespaceId)
            .zip(self.namespaces.iter().map(|name| &**name))
    }

    /// The namespace of this name.
    pub fn find(&self, name: &str) -> Option<NamespaceId> {
        let index = self.namespaces.iter().position(|known| **known == *name)?;
        Some(NamespaceId(u32::try_from(index).ok()?))
    }

    /// The name of a namespace of these rules.
    ///
    /// # Panics
    ///
    /// If `id` is of other rules.
    pub fn name(&self, id: NamespaceId) -> &str {
        &self.namespaces[id.index()]
    }
}
