//! How a line learns where an answer ends, without knowing the protocol.

/// A request and the way to recognise its answer.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The request, complete with its checksum.
    pub request: &'a [u8],
    /// Looks at everything received since the request (its echo, if any, already taken off) and says what it is.
    ///
    /// Pure, and cheap enough to be called at every arrival. It must be *stable*: what it called an answer stays one
    /// when more bytes follow.
    pub recognise: &'a (dyn Fn(&[u8]) -> Recognised + Send + Sync),
}

/// What received bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// Not yet a whole frame; at least this many bytes (1 and up) are still to come.
    Incomplete {
        /// The least number of bytes still missing.
        missing: usize,
    },
    /// `bytes[start..end]` is the answer; what stands before it is wake-up bytes or noise.
    Answer {
        /// Index of its first byte.
        start: usize,
        /// Index after its last byte.
        end: usize,
    },
    /// `bytes[..end]` can be discarded, it is no answer to this request (another meter's frame); the answer may follow.
    Foreign {
        /// Index after what is to be discarded, 1 and up.
        end: usize,
        /// What it was.
        why: String,
    },
    /// A damaged frame stands where the answer should: nothing good can follow.
    Garbled {
        /// What is wrong with it.
        why: String,
    },
}
