package host

import (
	"fmt"
	"math"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

func systemName() Distribution {
	v := windows.RtlGetVersion()
	version := fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
	return Distribution{ID: "windows", Version: version, Name: "Windows " + version}
}

func kernel() string {
	v := windows.RtlGetVersion()
	return fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
}

// memoryStatus is MEMORYSTATUSEX.
type memoryStatus struct {
	length, load                                    uint32
	total, available, totalPage, availPage, totalVM uint64
	availVM, availExtended                          uint64
}

func memory() Memory {
	call := windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")
	var m memoryStatus
	m.length = uint32(unsafe.Sizeof(m))
	if ok, _, _ := call.Call(uintptr(unsafe.Pointer(&m))); ok == 0 {
		return Memory{}
	}
	return Memory{Total: int64(m.total), Available: int64(m.available)}
}

func limits() map[string]Limit { return map[string]Limit{} }

func disk(dir string) Disk {
	d := Disk{FreeInodes: -1}
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return d
	}
	var free, total, all uint64
	if windows.GetDiskFreeSpaceEx(name, &free, &total, &all) == nil {
		d.Total, d.Free = int64(min(total, math.MaxInt64)), int64(min(free, math.MaxInt64))
	}
	d.FileSystem = fileSystem(name)
	return d
}

// fileSystem is the kind of the volume that holds a path, such as "ntfs"; empty if
// the system does not say.
func fileSystem(path *uint16) string {
	var volume, kind [windows.MAX_PATH + 1]uint16
	if windows.GetVolumePathName(path, &volume[0], uint32(len(volume))) != nil {
		return ""
	}
	if windows.GetVolumeInformation(&volume[0], nil, 0, nil, nil, nil, &kind[0], uint32(len(kind))) != nil {
		return ""
	}
	return strings.ToLower(windows.UTF16ToString(kind[:]))
}

func clockSync() string { return "" }

func armFeatures() []string { return nil }

// probe has nothing to try: what builds here hang on is in every release.
func probe() map[string]Syscall { return map[string]Syscall{} }
