//go:build !linux

package tree

import "os"

func lstat(name string) (stat, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return stat{}, err
	}
	return statOf(info), nil
}
