package sandbox

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Files of the kernel belong to root of the host, namespaces or not, and a step
// of root's needs no capability to write to them. So they are covered in the way
// that container engines do it.

// kernelReadOnly change settings of the kernel or of devices.
var kernelReadOnly = [...]string{
	"/proc/bus", "/proc/driver", "/proc/dynamic_debug", "/proc/fs", "/proc/irq", "/proc/mtrr", "/proc/sys", "/proc/sysrq-trigger", "/sys",
}

// kernelHidden show what the host's other users do, or its memory.
var kernelHidden = [...]string{
	"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
	"/proc/timer_list", "/proc/timer_stats", "/sys/firmware", "/sys/devices/virtual/powercap",
}

// protectKernel covers them. It is for root alone: to others the files are
// closed by their modes, and a /proc that is covered in places keeps a sandbox
// inside this one from mounting its own.
func protectKernel() error {
	if os.Getuid() != 0 {
		return nil
	}
	for _, p := range kernelReadOnly {
		if err := cover(p, p, true); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("protect %s: %w", p, err)
		}
	}
	for _, p := range kernelHidden {
		info, err := os.Lstat(p)
		switch {
		case err != nil:
			continue
		case info.IsDir():
			err = unix.Mount("airbuild", p, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "size=4k,mode=755")
		default:
			err = unix.Mount("/dev/null", p, "", unix.MS_BIND, "")
		}
		if err != nil {
			return fmt.Errorf("hide %s: %w", p, err)
		}
	}
	return nil
}
