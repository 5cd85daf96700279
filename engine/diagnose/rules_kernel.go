package diagnose

import (
	"path"
	"strings"
)

// kernelRules know errors of system calls as programs print them. They are the
// most general, so they come last.
func kernelRules() []rule {
	return []rule{
		{
			kind: "kernel.disk-full", has: []string{"no space left on device", "enospc", "not enough space on the disk"}, late: true,
			match: `(?i)^(?:.*(?:write|writing(?: to)?|open|mkdir|create(?: (?:regular )?file| directory)?|creating|remove|touch|exec|link|rename) ['"‘]?(?P<path>[^\s:'"‘’]+)['"’]?: )?(?:.*[\s:(])?(?:no space left on device|not enough space on the disk|ENOSPC)\b[^/]*$`,
			cause: "A disk is full[: the one that holds {path}], or has no inodes left.", refine: notError,
			fix: "df -h and df -i show which; airbuild cache prune --max-size 5GiB frees the cache; TMPDIR and AIRBUILD_CACHE can lie elsewhere",
		},
		{
			kind: "kernel.quota", has: []string{"disk quota exceeded"}, late: true,
			match: `(?i)^.*disk quota exceeded.*$`,
			cause: "The user's quota on the file system is used up.",
			fix:   "quota -s shows it; put the cache and TMPDIR on another disk (AIRBUILD_CACHE)",
		},
		{
			kind: "kernel.read-only", has: []string{"read-only file system"}, late: true,
			match: `(?i)^(?:.*(?:write|writing(?: to)?|open|mkdir|create(?: (?:regular )?file| directory)?|creating|remove|touch|exec|link|rename) ['"‘]?(?P<path>[^\s:'"‘’]+)['"’]?: )?(?:.*[\s:(])?read-only file system.*$`,
			cause: "The file system is mounted read-only[: {path}]. In a sandboxed step everything but outputs and the temporary folder is.",
			fix:   "write to a declared output or to $TMPDIR; if a whole disk became read-only, look at dmesg for errors of it",
		},
		{
			kind: "kernel.text-busy", has: []string{"text file busy"}, late: true,
			match: `(?i)^(?:.*(?:write|writing(?: to)?|open|mkdir|create(?: (?:regular )?file| directory)?|creating|remove|touch|exec|link|rename) ['"‘]?(?P<path>[^\s:'"‘’]+)['"’]?: )?(?:.*[\s:(])?text file busy.*$`,
			cause: "[{path}: ]a program is written to while it runs, or started while it is written.",
			fix:   "write to a new name and rename it over the old one; stop the program first",
		},
		{
			kind: "kernel.file-in-use", has: []string{"being used by another process", "sharing violation", "another program has it open"}, late: true,
			match: `(?i)^(?:.*?(?:write|writing(?: to)?|open|create|creating|remove|rename|unlinkat|unlink|restore|output) ['"]?(?P<path>[^\s'"]+?)['"]?: )?.*(?:being used by another process|sharing violation|another program has it open).*$`,
			cause: "[{path}: ]another program has the file open, and Windows does not let it be replaced or removed while it is.",
			fix:   "close that program (a running build of it, an editor, a viewer) and run again; exclude the output folder from virus scanners that keep files open",
		},
		{
			kind: "kernel.too-many-files", has: []string{"too many open files"}, late: true,
			match: `(?i)^.*too many open files.*$`,
			cause: "The limit of open files was reached.",
			fix:   "raise it (ulimit -n 65536, LimitNOFILE= of the service), or run fewer jobs (-j); airbuild doctor shows it",
		},
		{
			kind: "kernel.no-more-processes", has: []string{"resource temporarily unavailable", "cannot allocate memory", "newosproc", "cannot fork"}, late: true,
			match: `(?i)^.*(?:fork|clone|newosproc|pthread_create|thread).*(?:resource temporarily unavailable|cannot allocate memory|errno=11).*$`,
			cause: "No further process or thread could be started: a limit of processes or memory was reached.",
			fix:   "raise ulimit -u or the control group's pids.max, or run fewer jobs (-j)",
		},
		{
			kind: "kernel.out-of-memory", has: []string{"signal: killed", "out of memory", "cannot allocate memory", "killed", "virtual memory exhausted"}, late: true,
			match: `(?i)^(?:.*signal: killed.*|(?:fatal error: )?(?:runtime: )?out of memory.*|.*virtual memory exhausted.*|.*: cannot allocate memory|(?:.*: line \d+: +\d+ )?killed(?: +.*)?)$`,
			cause: "A process was killed, most likely by the kernel because memory ran out.",
			fix:   "run fewer jobs (-j), give the stage resources { memory }, or raise the limit of the container; dmesg names the victim",
		},
		{
			kind: "kernel.illegal-instruction", has: []string{"illegal instruction", "sigill"}, late: true,
			match: `(?i)^.*(?:illegal instruction|SIGILL).*$`,
			cause: "A program uses an instruction that this processor does not have: it was built for a higher level.",
			fix:   "build it for the lowest level (GOAMD64=v1, no -march=native); airbuild doctor FILE shows what it needs",
		},
		{
			kind: "kernel.segfault", has: []string{"segmentation fault", "sigsegv", "signal: bus error", "core dumped"}, late: true,
			match: `(?i)^(?:.*segmentation fault.*|.*signal: (?:segmentation violation|bus error).*|.*\(core dumped\).*|\[signal SIGSEGV.*)$`,
			cause: "A program crashed: an error in it or in a library that it loads.",
			fix:   "run the command by hand for its core file; in Go code, look at the stack above",
		},
		{
			kind: "kernel.argument-list", has: []string{"argument list too long"}, late: true,
			match: `(?i)^.*argument list too long.*$`,
			cause: "The command line and the environment together are longer than the kernel takes.",
			fix:   "hand the names over in a file (@FILE, xargs, -T for tar), or name a folder instead of its files",
		},
		{
			kind: "kernel.name-too-long", has: []string{"file name too long"}, late: true,
			match: `(?i)^(?:.*?['"‘]?(?P<path>[^\s:'"‘’]+)['"’]?: )?.*file name too long.*$`,
			cause: "A file name has more than 255 bytes, or a path more than the system takes.",
			fix:   "use shorter names, or a project folder nearer to the root (encrypted file systems take 143 bytes)",
		},
		{
			kind: "kernel.link-loop", has: []string{"too many levels of symbolic links"}, late: true,
			match: `(?i)^(?:.*?['"‘]?(?P<path>[^\s:'"‘’]+)['"’]?: )?too many levels of symbolic links.*$`,
			cause: "Symbolic links lead in a circle[: {path}].",
			fix:   "ls -l along the path shows the link that points back; remove it",
		},
		{
			kind: "kernel.other-file-system", has: []string{"invalid cross-device link"}, late: true,
			match: `(?i)^.*invalid cross-device link.*$`,
			cause: "A rename or a hard link goes from one file system to another, which cannot be.",
			fix:   "copy instead; keep the temporary folder on the disk of the target",
		},
		{
			kind: "shell.command-not-found", has: []string{"command not found", ": not found", "executable file not found", "not on path", "is not recognized as"}, late: true,
			match:  `(?:^(?:\S*sh: )?(?:\S+: )?(?:line \d+: |\d+: )?(?P<program>[\w.+/-]+): (?:command )?not found$|"(?P<program2>[^"\s]+)": executable file not found in [$%]PATH%?|find program (?P<program3>[^\s:]+): not on PATH|'(?P<program4>[^']+)' is not recognized as)`,
			cause:  "The program {program}{program2}{program3}{program4} is not on PATH.",
			fix:    "install it, or put the directory that holds it on PATH, and list it in the stage's tools; host { commands } in the Airbuildfile checks for it beforehand",
			refine: func(d map[string]string, _ Context) bool { return !strings.HasSuffix(d["program"], ".go") },
		},
		{
			kind: "kernel.permission", has: []string{"permission denied", "eacces", "access is denied"}, late: true,
			match: `(?i)^(?:.*?(?:open|mkdir|mkdirat|unlinkat|rename|fork/exec|exec|stat|lstat|chmod|chdir|create|creating|to|directory|file|access|remove|line \d+:|sh: \d+:|^\S+:) +)?['"‘]?(?P<path>[^\s:'"‘’]+)['"’]?: (?:cannot \w+(?: \w+)*: )?(?:permission denied|access is denied)\.?$`,
			cause: "Permission denied for {path}[: {where} blocks access][; it belongs to {owner}, mode {mode}, and this runs as {user}].",
			fix:   "give the file or its folder to the user who builds (chown, chmod u+rwx); a script or program needs its executable bit (chmod +x, git update-index --chmod=+x)", refine: owner,
		},
		{
			kind: "kernel.relative-path", has: []string{"no such file", "cannot find the file", "cannot find the path"}, late: true,
			match: fileMissing,
			cause: "There is no {path} in the folder that the step ran in: a relative path counts from there, and a step sees its declared inputs only.",
			fix:   "declare the file among the inputs, name the stage that makes it, or set dir", refine: relative,
		},
		{
			kind: "kernel.file-missing", has: []string{"no such file", "cannot find the"}, late: true,
			match: fileMissing,
			cause: "There is no {path} on this host.",
			fix:   "absolute paths differ from host to host: put the file into the project and declare it, or let a variable with env give the path", refine: absolute,
		},
	}
}

// fileMissing is ENOENT as Go, the coreutils and shells write it.
const fileMissing = `(?i)^(?:(?:.*[ :])?(?:open|stat|lstat|chdir|readlink|read|rename|fork/exec|access|cannot (?:stat|open|access|create(?: \w+)*|remove)(?: file)?|can't (?:open|cd to)|line \d+:|\d+: cannot open|[\w.+/-]+:) +)['"‘]?(?P<path>[^\s:'"‘’]+)['"’]?(?: for \w+)?: (?:no such file(?: or directory)?|the system cannot find the (?:file|path) specified\.?)$`

// notError takes the word "error" for none: "write error: …".
func notError(d map[string]string, _ Context) bool {
	if d["path"] == "error" {
		delete(d, "path")
	}
	return true
}

func clean(d map[string]string) string {
	d["path"] = strings.Trim(d["path"], "'\"`‘’")
	return d["path"]
}

func relative(d map[string]string, _ Context) bool {
	p := clean(d)
	return p != "" && !path.IsAbs(p) && !isDrive(p)
}

func absolute(d map[string]string, _ Context) bool {
	p := clean(d)
	return path.IsAbs(p) || isDrive(p)
}

func isDrive(p string) bool { return len(p) > 2 && p[1] == ':' && (p[2] == '\\' || p[2] == '/') }
