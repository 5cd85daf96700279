package tree

import "syscall"

// readSmall reads a file that is smaller than buf into it, with four system
// calls: the os package would make ten, most of them to find out that a plain
// file cannot be waited for. ok is false for whatever else there may be, and
// for a file that did not fit; the os package has the words for it.
func readSmall(name string, buf []byte) (b []byte, ok bool) {
	fd := -1
	err := again(func() (err error) {
		fd, err = syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
		return err
	})
	if err != nil {
		return nil, false
	}
	defer syscall.Close(fd)
	n := 0
	for n < len(buf) {
		var got int
		err := again(func() (err error) {
			got, err = syscall.Read(fd, buf[n:])
			return err
		})
		if err != nil {
			return nil, false
		}
		if got == 0 {
			return buf[:n], true
		}
		n += got
	}
	return nil, false
}

// again repeats a call that a signal has cut short.
func again(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}
