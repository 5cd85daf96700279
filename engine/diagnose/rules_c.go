package diagnose

func cRules() []rule {
	return []rule{
		{
			kind: "c.header-missing", has: []string{"no such file or directory", "file not found"},
			match: `fatal error: ['"]?(?P<file>[^\s'":]+\.h(?:pp|h)?)['"]?(?:: No such file or directory| file not found)`,
			cause: "The C header {file} is not here.",
			fix:   "install the development package that has it (apt-file search {file}), or give its folder with -I in CGO_CFLAGS; a package with a pure Go variant may be built with CGO_ENABLED=0",
		},
		{
			kind: "c.library-missing", has: []string{"cannot find -l", "library not found for -l", "unable to find library -l"},
			match: `(?:cannot find|library not found for|unable to find library) -l(?P<library>[^\s:']+)`,
			cause: "The linker does not find the library lib{library}[ for this platform].",
			fix:   "install its development package, or give its folder with -L in CGO_LDFLAGS; for a static link the .a file is needed",
		},
		{
			kind: "c.wrong-format", has: []string{"file in wrong format", "skipping incompatible", "file format not recognized", "incompatible with"},
			match: `(?P<file>[^\s:]+): (?:file in wrong format|file format not recognized)|skipping incompatible (?P<library>\S+)|is incompatible with (?P<target>\S+) output`,
			cause: "The linker was given an object or library of another architecture: {file}{library}.",
			fix:   "clean objects of earlier builds, and use compiler and libraries of the target (CC, -L of the cross toolchain)",
		},
		{
			kind: "c.undefined-reference", has: []string{"undefined reference to", "undefined symbol:", "undefined symbols for architecture"},
			match: "(?:undefined reference to [`'](?P<symbol>[^`']+)'|^ld(?:\\.lld)?: error: undefined symbol: (?P<symbol2>\\S+))",
			cause: "The function or variable {symbol}{symbol2} is used and is in none of the libraries that are linked.",
			fix:   "name the library that has it with -l in CGO_LDFLAGS, after what uses it; C++ needs its compiler as linker",
		},
		{
			kind: "c.multiple-definition", has: []string{"multiple definition of", "duplicate symbol"},
			match: "(?:multiple definition of|duplicate symbol:?) [`'](?P<symbol>[^`']+)'",
			cause: "{symbol} is defined in two objects that are linked together.",
			fix:   "make one of them static, or declare it extern in the header and define it in one file; -fcommon brings back the rule of compilers before 2020",
		},
		{
			kind: "c.relocation", has: []string{"recompile with -fp"},
			match: "relocation (?P<relocation>\\S+) against .* can ?not be used when making an? .*recompile with (?P<flag>-f\\w+)",
			cause: "An object was compiled for fixed addresses and goes into a library or a position-independent program.",
			fix:   "compile it with {flag}, or link with -no-pie",
		},
		{
			kind: "c.unknown-option", has: []string{"unrecognized command-line option", "unknown argument:", "unrecognized command line option"},
			match: "(?:unrecognized command[- ]line option|unknown argument:) ['‘\"](?P<option>[^'’\"]+)",
			cause: "This C compiler does not know the option {option}: it is another compiler, an older one, or one for another architecture.",
			fix:   "take the option out of CFLAGS or CGO_CFLAGS, or use the compiler that it is for (CC)",
		},
		{
			kind: "c.internal-error", has: []string{"internal compiler error", "cannot execute 'cc1"},
			match: `(?:internal compiler error: (?P<reason>.*)|cannot execute ['‘](?P<program>cc1\w*)['’])`,
			cause: "The C compiler itself failed[: {reason}][: its part {program} is missing].",
			fix:   "memory may have run out (fewer jobs: -j), or the compiler is damaged or half installed: install it again",
		},
	}
}

func loaderRules() []rule {
	return []rule{
		{
			kind: "loader.glibc-too-old", has: []string{"version `glibc_", "version 'glibc_"},
			match: "(?P<path>[^\\s:]+): version [`'](?:GLIBC_)(?P<version>[\\d.]+)' not found \\(required by (?P<program>[^)]+)\\)",
			cause: "{program} was built on a system with a newer C library: it needs glibc {version}, and this host's is older.",
			fix:   "build it with CGO_ENABLED=0, or on a system whose glibc is not newer than this one; airbuild doctor {program} names the symbols",
		},
		{
			kind: "loader.version-missing", has: []string{"not found (required by"},
			match: "(?P<library>[^\\s:]+): version [`'](?P<version>[^']+)' not found \\(required by (?P<program>[^)]+)\\)",
			cause: "{library} is installed, but is older than the one that {program} was built with: it has no version {version}.",
			fix:   "ship the newer library next to the program (RUNPATH $ORIGIN), or build against the older one",
		},
		{
			kind: "loader.library-missing", has: []string{"error while loading shared libraries"},
			match: `(?P<program>[^\s:]+): error while loading shared libraries: (?P<library>[^\s:]+): cannot open shared object file: No such file or directory`,
			cause: "{program} needs the shared library {library}, which the dynamic loader does not find.",
			fix:   "install the package that has it, or ship it next to the program with RUNPATH $ORIGIN; airbuild doctor {program} lists everything it needs",
		},
		{
			kind: "loader.library-wrong", has: []string{"error while loading shared libraries"},
			match: `(?P<program>[^\s:]+): error while loading shared libraries: (?P<library>[^\s:]+): (?P<reason>.*)$`,
			cause: "The shared library {library}, needed by {program}, cannot be loaded: {reason}.",
			fix:   "it is damaged or of another architecture: install it again; airbuild doctor {program} shows which file is taken",
		},
		{
			kind: "loader.musl-library-missing", has: []string{"error loading shared library"},
			match: `Error loading shared library (?P<library>[^\s:]+): (?P<reason>[^()]*?)(?: \(needed by (?P<program>[^)]+)\))?$`,
			cause: "The shared library {library}[, needed by {program},] cannot be loaded on this musl system: {reason}.",
			fix:   "install the package that has it; a program that was built for glibc (libc.so.6, ld-linux) needs one built for musl, or CGO_ENABLED=0",
		},
		{
			kind: "loader.musl-symbol-missing", has: []string{"error relocating"},
			match: `Error relocating (?P<program>[^\s:]+): (?P<symbol>\S+): symbol not found`,
			cause: "{program} uses {symbol}, which this system's C library (musl) or another library does not have: it was built for glibc or for a newer version.",
			fix:   "build it for musl, or with CGO_ENABLED=0",
		},
		{
			kind: "loader.symbol-missing", has: []string{"symbol lookup error"},
			match: `(?P<program>[^\s:]+): symbol lookup error: (?:(?P<library>[^\s:]+): )?undefined symbol: (?P<symbol>[^\s,]+)`,
			cause: "{program} found its libraries, and none of them has {symbol}: one is older than the one it was built with.",
			fix:   "bring the library along that it was built with; airbuild doctor {program} shows which files are taken",
		},
		{
			kind: "loader.cpu-level", has: []string{"cpu isa level is lower", "fatal glibc error: cpu does not support"},
			match: `(?:CPU ISA level is lower than required|Fatal glibc error: CPU does not support (?P<level>\S+))`,
			cause: "A library or the C library was built for a higher level of the processor[ ({level})] than this one has.",
			fix:   "use the distribution's build for the lower level, or a newer processor; airbuild host fingerprint shows the level",
		},
		{
			kind: "loader.wrong-architecture", has: []string{"exec format error", "cannot execute binary file", "bad cpu type in executable"},
			match: `(?i)(?:(?P<path>[^\s:]+): (?:cannot execute(?: binary file)?: Exec format error|cannot execute binary file|Exec format error)|(?:fork/exec|exec) (?P<path2>[^\s:]+): exec format error|exec format error|(?P<path3>[^\s:]+): bad CPU type in executable)`,
			cause: "The file {path}{path2}{path3} is not a program for this system and architecture, or a script without a first line that names its interpreter.",
			fix:   "build it for this platform, take the host's own build of the tool, or begin the script with #!/bin/sh; airbuild doctor FILE says what it is",
		},
	}
}
