//go:build !linux

package install_test

import "errors"

func childFill([]string) error { return errors.New("only Linux fills disks") }
