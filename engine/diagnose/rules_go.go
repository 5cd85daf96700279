package diagnose

import "strings"

// specificRules are those whose text holds that of a more general one.
func specificRules() []rule {
	return []rule{
		{
			kind: "kernel.inotify", has: []string{"inotify"},
			match: `(?i)^.*inotify.*(?:no space left on device|too many open files|watch(?:es)? limit|user limit).*$`,
			cause: "The user's inotify watches or instances are used up; the disk is not full.",
			fix:   "raise them: sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024",
		},
		{
			kind: "go.vcs-status", has: []string{"error obtaining vcs status"},
			match: `^error obtaining VCS status: (?P<reason>.*)$`,
			cause: "The go command tries to stamp the commit into the binary, and git does not answer: the repository may belong to another user, be damaged, or git may be missing.",
			fix:   "run git status in the project and fix what it reports; or build with -buildvcs=false",
		},
		{
			kind: "git.dubious-ownership", has: []string{"dubious ownership"},
			match: `detected dubious ownership in repository at '(?P<path>[^']+)'`,
			cause: "The repository {path} belongs to another user than the one who runs git[ (owner {owner}, we are {user})], so git refuses to read it.",
			fix:   "give the folder to the user who builds (chown -R), or trust it: git config --global --add safe.directory {path}", refine: owner,
		},
		{
			kind: "go.cgo-compiler", has: []string{"c compiler"},
			match: `cgo: C compiler "(?P<program>[^"]+)" not found`,
			cause: "The package uses C, and the C compiler {program} is not on PATH.",
			fix:   "install {program}, name another one in CC, or build without C: CGO_ENABLED=0",
		},
		{
			kind: "tar.compressor", has: []string{"tar (child)", "child returned status 127"},
			match: `(?:^tar \(child\): (?P<program>[^:]+): Cannot exec: No such file or directory$|^\S*sh: (?:\d+: )?(?P<program2>[^\s:]+): (?:command )?not found\n(?:.*\n)*?tar: Child returned status 127$)`,
			cause: "tar starts {program}{program2} for this compression, and it is not on PATH.",
			fix:   "install {program}{program2}; or use the stage type archive, which needs no program",
		},
		{
			kind: "shell.line-endings", has: []string{"\\r", "^m", "\r"},
			match: `(?:\$'[^']*\\r': command not found|^.*(?:\^M|\r): bad interpreter: .*$|env: ['‘](?P<program>[^'’]+?)\\r['’]: No such file or directory|syntax error near unexpected token .*\\r)`,
			cause: "The script has Windows line ends (CR LF), which the shell takes for part of the words.",
			fix:   "store it with LF: sed -i 's/\\r$//' on the file, \"*.sh text eol=lf\" in .gitattributes, then git add --renormalize",
		},
		{
			kind: "shell.interpreter-missing", has: []string{"bad interpreter", "required file not found", "interpreter or dynamic loader is missing"},
			match: `(?:(?P<path>[^\s:]+): (?P<program>[^\s:]+): bad interpreter: No such file or directory$|(?P<path2>[^\s:]+): cannot execute: required file not found$|start (?P<started>[^:]+): .*interpreter or dynamic loader is missing)`,
			cause: "The file exists, but the interpreter that its first line or its ELF header names does not[: {program}].",
			fix:   "install the interpreter; a binary of another C library (musl, glibc) needs its dynamic loader: airbuild doctor FILE names it",
		},
	}
}

func goRules() []rule {
	const bring = "bring the module in a bundle that was made with this go.mod and go.sum, then run again; or vendor it (go mod vendor) where there is a network"
	return []rule{
		{
			kind: "go.sum-mismatch", has: []string{"checksum mismatch"},
			match: `^(?:go: )?(?:verifying |\s*)?(?P<module>\S+?)(?:/go\.mod)?: (?:verifying \S+: )?checksum mismatch$`,
			cause: "The bytes of {module} are not those that go.sum or the checksum database recorded: the download was changed, or the version was published twice.",
			fix:   "find out which side is wrong before you trust either; if the cache is: go clean -modcache; if go.sum is: restore it from git",
		},
		{
			kind: "go.sum-missing", has: []string{"missing go.sum entry"},
			match: `missing go\.sum entry(?: for (?:module providing package (?P<package>[^\s;]+)|go\.mod file|(?P<module>[^\s;:]+)))?`,
			cause: "go.sum has no checksum for a module that is needed[: {module}][ for the package {package}].",
			fix:   "run go mod tidy where there is a network, and commit go.sum", offline: "run go mod tidy where there is a network, commit go.sum, and " + bring,
		},
		{
			kind: "go.vendor-inconsistent", has: []string{"inconsistent vendoring"},
			match: `^go: inconsistent vendoring in (?P<path>.*):$`,
			cause: "vendor/modules.txt and go.mod disagree: go.mod was changed after the last go mod vendor.",
			fix:   "run go mod vendor and commit vendor/; or build with -mod=mod to leave it out",
		},
		{
			kind: "go.vendor-missing-package", has: []string{"-mod=vendor", "in vendor"},
			match: `(?:cannot find module providing package (?P<package>[^\s:]+): import lookup disabled by -mod=vendor|cannot find package "?(?P<package2>[^\s":]+)"? in(?::| vendor))`,
			cause: "The package {package}{package2} is imported and is not in vendor/.",
			fix:   "run go mod tidy and go mod vendor where there is a network, and commit both",
		},
		{
			kind: "go.module-missing", has: []string{"no required module provides package"},
			match: `no required module provides package (?P<package>[^\s;:]+)`,
			cause: "The package {package} is imported, and no module in go.mod has it.",
			fix:   "run go get {package} and go mod tidy where there is a network, and commit go.mod and go.sum",
		},
		{
			kind: "go.mod-readonly", has: []string{"updates to go.mod needed", "updates to go.work needed"},
			match: `updates to (?P<file>go\.\w+) needed`,
			cause: "{file} is not what the sources need, and the go command must not write it (-mod=readonly).",
			fix:   "run go mod tidy (go work sync for go.work), and commit the change",
		},
		{
			kind: "go.toolchain-too-old", has: []string{"requires go >="},
			match: `(?P<file>[^\s:]+)?(?: requires|: module \S+ requires) go >= (?P<wanted>[\w.]+) \(running go (?P<version>[^\s;)]+)`,
			cause: "Go {wanted} or newer is required[ by {file}], and this is Go {version}.",
			fix:   "install Go {wanted}, carry it in a bundle, or name it in a toolchain block", offline: "carry Go {wanted} in the bundle (it is the component toolchain), or install it by hand",
		},
		{
			kind: "go.toolchain-missing", has: []string{"toolchain not available", "download go"},
			match: `download go(?P<wanted>[\w.]+) for (?P<platform>\S+): (?P<reason>.*)$`,
			cause: "The go command has to switch to Go {wanted} for {platform} and cannot get it: {reason}.",
			fix:   "install Go {wanted}, or make it available through GOPROXY; GOTOOLCHAIN=local keeps the installed one", offline: "carry Go {wanted} in the bundle; GOTOOLCHAIN=local keeps the installed one",
		},
		{
			kind: "go.checksum-database", has: []string{"sum.golang.org", "/sumdb/", "sumdb"},
			match: `(?:verifying (?:module: )?(?P<module>[^\s:]+): .*(?:sum\.golang\.org|sumdb)\S*.*$|reading https?://\S*(?:sum\.golang\.org|/sumdb/)\S*: .*$)`,
			cause: "The checksum database cannot be asked[ about {module}].",
			fix:   "run where it can be reached, so that go.sum gets the entry; or list private modules in GOPRIVATE", offline: "commit a go.sum that has all entries, made where there is a network; a bundle carries the database's proofs",
		},
		{
			kind: "go.proxy-off", has: []string{"goproxy=off"},
			match: `^go: downloading (?P<fetched>\S+ \S+)\n.*module lookup disabled by GOPROXY=off|^(?:go: |.*?: )?(?P<module>[^\s:]+@[^\s:]+)?.*module lookup disabled by GOPROXY=off`,
			cause: "A module is not in the module cache[: {module}][: {fetched}], and GOPROXY=off forbids to fetch it: Go stages have no network.",
			fix:   "run go mod download where there is a network; or give the stage its modules (modules = stage.NAME, of a go_vendor or go_download stage); or let it fetch: sandbox { network = true }", offline: bring,
		},
		{
			kind: "go.proxy-tree-incomplete", has: []string{"reading file:", "@v/"},
			match: `(?:^|\s)(?P<module>[^\s:]+@[^\s:]+): reading (?P<url>file:\S+): no such file or directory`,
			cause: "The tree of modules that GOPROXY names has no {module}.",
			fix:   "download the tree again for the current go.mod: a go_download stage does that", offline: bring,
		},
		{
			kind: "go.version-unknown", has: []string{"unknown revision", "404 not found", "410 gone"},
			match: `(?:^|\s)(?P<module>[^\s:]+@[^\s:]+): (?:invalid version: unknown revision .*|reading https?://\S+: (?:404 Not Found|410 Gone))`,
			cause: "There is no such version, or it is in a private repository that the proxy cannot see: {module}.",
			fix:   "check the version in go.mod; for a private module set GOPRIVATE and give git access",
		},
		{
			kind: "go.no-module", has: []string{"go.mod file not found", "cannot find main module"},
			match: `^(?:go: )?(?:go\.mod file not found in current directory or any parent directory|cannot find main module).*$`,
			cause: "There is no go.mod here or above: the command runs in another folder than that of the module.",
			fix:   "set dir to the module's folder, declare go.mod among the inputs, or run go mod init",
		},
		{
			kind: "go.not-in-workspace", has: []string{"go.work"},
			match: `(?:current directory is contained in a module that is not one of the workspace modules listed in go\.work|directory (?P<path>.*?) (?:is contained in a module that is not|outside).*go\.work.*|(?:main module|modules listed in go\.work).*does not contain package (?P<package>\S+))`,
			cause: "A go.work file is in effect, and it does not list this module.",
			fix:   "run go work use FOLDER, or leave the workspace out: GOWORK=off",
		},
		{
			kind: "go.replace-missing", has: []string{"replacement directory", "replaced by"},
			match: `(?:replacement directory (?P<path>\S+) does not exist|open (?P<path2>\S+/go\.mod): no such file or directory\)?$|\(replaced by (?P<path3>\S+)\): (?:reading|open) .*no such file or directory)`,
			cause: "A replace line of go.mod names a folder that is not here: {path}{path2}{path3}.",
			fix:   "check the folder out next to the project, or remove the replace line; replacements outside the project are not carried",
		},
		{
			kind: "go.package-not-in-std", has: []string{"is not in std"},
			match: `package (?P<package>\S+) is not in std`,
			cause: "The import path {package} has no dot in its first part, so Go looks for it in its own library, where it is not.",
			fix:   "correct the path: for a package of the project it starts with the module's name in go.mod; or this Go is older than the package",
		},
		{
			kind: "go.internal-package", has: []string{"use of internal package"},
			match: `use of internal package (?P<package>\S+) not allowed`,
			cause: "{package} may be imported only by packages below the parent of its internal folder.",
			fix:   "use the public package, or move one of the two",
		},
		{
			kind: "go.import-cycle", has: []string{"import cycle not allowed"},
			match: `^.*import cycle not allowed.*$`,
			cause: "Packages import each other in a circle; the lines above name it.",
			fix:   "move what they share into a package of its own",
		},
		{
			kind: "go.constraints-exclude", has: []string{"build constraints exclude all go files"},
			match: `build constraints exclude all Go files in (?P<path>.*)$`,
			cause: "For this platform and these tags no file of the package {path} is left: its files are for others, or all of them need cgo.",
			fix:   "take the platform out of the matrix, add the tag, or set cgo (CGO_ENABLED=1) with a C compiler for it",
		},
		{
			kind: "go.embed-missing", has: []string{"no matching files found", "cannot embed"},
			match: `pattern (?P<pattern>.+?): (?:no matching files found|cannot embed .*)$`,
			cause: "A go:embed line asks for {pattern}, and there is no such file.",
			fix:   "make it first: name the stage that makes it in after or inputs; check .gitignore and the pattern's case",
		},
		{
			kind: "go.race-needs-cgo", has: []string{"-race requires cgo"},
			match: `-race requires cgo`,
			cause: "The race detector needs cgo, and it is off (CGO_ENABLED=0) or there is no C compiler.",
			fix:   "set cgo and install a C compiler, or leave race out for this platform",
		},
		{
			kind: "go.no-home", has: []string{"build cache is required", "gocache is not defined", "module cache not found"},
			match: `(?:build cache is required, but could not be located: .*|module cache not found: .*)$`,
			cause: "The go command does not know where its cache is: neither HOME nor GOCACHE (GOMODCACHE) is set.",
			fix:   "set HOME, or GOCACHE and GOMODCACHE",
		},
		{
			kind: "go.flags", has: []string{"$goflags", "goflags"},
			match: `^go: parsing \$GOFLAGS: (?P<reason>.*)$`,
			cause: "The variable GOFLAGS cannot be used: {reason}.",
			fix:   "go env GOFLAGS shows it; unset it, or go env -u GOFLAGS if it was written there",
		},
		{
			kind: "go.test-timeout", has: []string{"panic: test timed out"},
			match: `^panic: test timed out after (?P<duration>\S+)$`,
			cause: "The tests of a package did not end within {duration}; the goroutines that were waiting are listed above.",
			fix:   "find what waits (a lock, the network, which is off in a step); or raise the timeout of the tests",
		},
		{
			kind: "go.wrong-level", has: []string{"microarchitecture support"},
			match: `^This program can only be run on (?P<arch>\S+) processors with (?P<level>v\d\S*) microarchitecture support`,
			cause: "The binary was built for {arch} {level}, and this processor has less.",
			fix:   "build for a lower level (platform linux/amd64 without /{level}), or run on a newer processor; airbuild host fingerprint shows the level",
		},
		{
			kind: "go.undefined", has: []string{"undefined: "},
			match:  `^(?P<file>[^\s:]+\.go):(?P<line>\d+)(?::\d+)?: undefined: (?P<name>\S+)$`,
			cause:  "{name}, used in {file} line {line}, is declared in no file that counts for this platform and these tags.",
			fix:    "correct the name or declare it; if the file that has it is for another platform (_windows.go, go:build), add one for this; if it is generated, run that stage first",
			refine: func(d map[string]string, _ Context) bool { return !strings.HasSuffix(d["name"], ".") },
		},
	}
}
