//! The attributes of lonet.
