//go:build !linux

package bundle

import "errors"

func childFill([]string) error { return errors.New("only Linux fills disks") }
