package bundle

// What a reader takes. Anything larger is no bundle of ours, or a hostile one.
// All of it is small enough to be held in memory at once.
const (
	maxOCI         = 4 << 20   // bytes of index.json and of the OCI manifest
	maxRoot        = 8 << 20   // bytes of the root manifest
	maxEnvelopes   = 16        // signature blobs of one bundle
	maxCustody     = 16 << 20  // bytes of a custody log that is carried
	maxIndex       = 256 << 20 // bytes of the index, decompressed
	maxComponents  = 4096
	maxFiles       = 2 << 20 // files, and contents, of one bundle
	maxContent     = 1 << 40 // bytes of one content; maxFiles of them do not overflow
	maxBlock       = 8 << 20 // bytes of a block, decompressed
	maxPacks       = 1 << 16
	maxPack        = 8<<30 - 1 // bytes: what the size field of a tar header holds
	maxPath        = 1024      // bytes of a path
	maxPathElement = 255
	maxMetadata    = 1 << 20 // bytes of one value
	maxVolumes     = 9999
	maxVolumeTable = 8 << 20
	maxDirs        = 1 << 20 // directories of all paths of a bundle
)

// DefaultPackSize is how much content goes into one pack, in bytes before
// compression. A pack is never larger than that and a little.
const DefaultPackSize = 256 << 20

// DefaultVolumeSize is the largest file of FAT32.
const DefaultVolumeSize = 4<<30 - 1
