package host

import (
	"math"
	"slices"

	"golang.org/x/sys/unix"
)

func systemName() Distribution {
	v, err := unix.Sysctl("kern.osproductversion")
	if err != nil {
		return Distribution{ID: "macos"}
	}
	return Distribution{ID: "macos", Version: v, Name: "macOS " + v}
}

func kernel() string {
	v, err := unix.Sysctl("kern.osrelease")
	if err != nil {
		return ""
	}
	return v
}

func memory() Memory {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil || n > math.MaxInt64 {
		return Memory{}
	}
	return Memory{Total: int64(n)}
}

func limits() map[string]Limit {
	l := map[string]Limit{}
	for name, which := range map[string]int{"nofile": unix.RLIMIT_NOFILE, "nproc": 7, "fsize": unix.RLIMIT_FSIZE} {
		var r unix.Rlimit
		if unix.Getrlimit(which, &r) == nil {
			l[name] = Limit{unlimited(r.Cur), unlimited(r.Max)}
		}
	}
	return l
}

func unlimited(n uint64) int64 {
	if n >= math.MaxInt64 {
		return -1
	}
	return int64(n)
}

func disk(dir string) Disk {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return Disk{FreeInodes: -1}
	}
	block := int64(s.Bsize)
	return Disk{
		Total: int64(s.Blocks) * block, Free: int64(s.Bavail) * block, FreeInodes: int64(s.Ffree),
		FileSystem: unix.ByteSliceToString(s.Fstypename[:]),
	}
}

func clockSync() string { return "" }

// armFeatures are the processor's features by the names that Linux gives them.
func armFeatures() []string {
	names := map[string]string{
		"LSE": "atomics", "RDM": "asimdrdm", "DPB": "dcpop", "FCMA": "fcma", "JSCVT": "jscvt", "LRCPC": "lrcpc", "DIT": "dit",
		"FlagM": "flagm", "LRCPC2": "ilrcpc", "LSE2": "uscat", "SB": "sb", "FlagM2": "flagm2", "FRINTTS": "frint",
		"SHA256": "sha2", "SHA512": "sha512", "AES": "aes", "PMULL": "pmull", "DotProd": "asimddp", "FP16": "fphp", "BF16": "bf16", "I8MM": "i8mm",
	}
	var features []string
	for apple, linux := range names {
		if n, err := unix.SysctlUint32("hw.optional.arm.FEAT_" + apple); err == nil && n == 1 {
			features = append(features, linux)
		}
	}
	if n, err := unix.SysctlUint32("hw.optional.armv8_crc32"); err == nil && n == 1 {
		features = append(features, "crc32")
	}
	slices.Sort(features)
	return features
}

// probe has nothing to try: what builds here hang on is in every release.
func probe() map[string]Syscall { return map[string]Syscall{} }
