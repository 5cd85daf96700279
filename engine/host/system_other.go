//go:build !linux && !darwin && !windows

package host

func systemName() Distribution  { return Distribution{} }
func kernel() string            { return "" }
func memory() Memory            { return Memory{} }
func limits() map[string]Limit  { return map[string]Limit{} }
func disk(string) Disk          { return Disk{FreeInodes: -1} }
func clockSync() string         { return "" }
func armFeatures() []string     { return nil }
func probe() map[string]Syscall { return map[string]Syscall{} }
