//! Why the core refuses to share an item: what is in it that has to be mended in 1Password.

/// What the item has that the core does not share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// Files: attachments, or a document.
    #[error(
        "it has files, and the account's sharing policy allows no files: remove them from the \
         item or change the policy, and request it again"
    )]
    Files,
    /// A category that the core does not know.
    #[error(
        "the SDK core does not know its category: copy its contents into an item of another \
         category, such as Login, and request that item"
    )]
    Category,
    /// Two sections, or two fields, with one id.
    #[error(
        "two of its sections or fields have the same id: copy its contents into a new item, and \
         request that item"
    )]
    SameIds,
    /// A field of a kind that the core does not know.
    #[error(
        "it has a field of a type that the SDK core does not know: remove that field, or copy the \
         other contents into a new item, and request that item"
    )]
    FieldType,
    /// A field or file that is not as the core expects it.
    #[error(
        "the SDK core does not accept its contents, for example an incomplete key or reference: \
         copy its contents into a new item, and request that item"
    )]
    Contents,
}

impl Obstacle {
    /// The obstacle that the core's words are about. They may quote the item, so they go no further.
    pub(super) fn told_by(words: &str) -> Self {
        let says = |part: &str| words.contains(part);
        if says("share items with files") {
            Self::Files
        } else if says("unsupported item category") {
            Self::Category
        } else if says("duplicate section ids") || says("duplicate field ids") {
            Self::SameIds
        } else if says("unsupported field type") {
            Self::FieldType
        } else {
            Self::Contents
        }
    }
}
