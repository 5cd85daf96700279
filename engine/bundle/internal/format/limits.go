package format

// What a reader takes. Anything larger was not made by this package, or is hostile.
// All of it is small enough to be held in memory at once.
const (
	MaxOCI         = 4 << 20   // bytes of index.json and of the OCI manifest
	MaxRoot        = 8 << 20   // bytes of the root manifest
	maxEnvelopes   = 16        // signature blobs of one bundle
	maxCustody     = 16 << 20  // bytes of a custody log that is carried
	MaxIndex       = 256 << 20 // bytes of the index, decompressed
	maxComponents  = 4096
	MaxFiles       = 2 << 20 // files, and contents, of one bundle
	maxContent     = 1 << 40 // bytes of one content; maxFiles of them do not overflow
	MaxBlock       = 8 << 20 // bytes of a block, decompressed
	MaxPacks       = 1 << 16
	MaxPack        = 8<<30 - 1 // bytes: what the size field of a tar header holds
	maxPath        = 1024      // bytes of a path
	maxPathElement = 255
	maxMetadata    = 1 << 20 // bytes of one value
	MaxVolumes     = 9999
	MaxVolumeTable = 8 << 20
	MaxDirs        = 1 << 20 // directories of all paths of a bundle
)

// DefaultPackSize is how much content goes into one pack, in bytes before
// compression. A pack is never larger than that and a little.
const DefaultPackSize = 256 << 20

// DefaultVolumeSize is the largest file of FAT32.
const DefaultVolumeSize = 4<<30 - 1
