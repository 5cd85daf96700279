package install

// JournalMagic begins a journal.
const JournalMagic = journalMagic

// JournalDir is where the journals of a cache directory are.
var JournalDir = journalDir

// Key is key.
var Key = key
