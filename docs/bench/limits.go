package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// limits are subcommands that do the least that a tool must do, and print the
// nanoseconds it took without the start of a process:
//
//	lstat LIST, lstat-parallel LIST    look at every listed file
//	hash LIST                          read and hash every listed file
func limits(args []string) (int, bool) {
	if len(args) != 2 {
		return 0, false
	}
	var f func(string) error
	jobs := runtime.NumCPU()
	switch args[0] {
	case "lstat":
		f, jobs = lstat, 1
	case "lstat-parallel":
		f = lstat
	case "hash":
		f = hash
	default:
		return 0, false
	}
	list, err := readLines(args[1])
	if err == nil {
		var took time.Duration
		if took, err = each(list, jobs, f); err == nil {
			fmt.Println(took.Nanoseconds())
			return 0, true
		}
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	return 1, true
}

func lstat(name string) error {
	_, err := os.Lstat(name)
	return err
}

func hash(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(sha256.New(), f)
	return err
}

// each calls f for every name, jobs at a time, in contiguous parts.
func each(list []string, jobs int, f func(string) error) (time.Duration, error) {
	start := time.Now()
	errs := make([]error, jobs)
	var wg sync.WaitGroup
	for j := range jobs {
		wg.Go(func() {
			for _, name := range list[len(list)*j/jobs : len(list)*(j+1)/jobs] {
				if errs[j] = f(name); errs[j] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	for _, err := range errs {
		if err != nil {
			return took, err
		}
	}
	return took, nil
}

func readLines(name string) ([]string, error) {
	text, err := os.ReadFile(name)
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), err
}
