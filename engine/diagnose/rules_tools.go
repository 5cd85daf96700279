package diagnose

func gitRules() []rule {
	return []rule{
		{
			kind: "git.not-a-repository", has: []string{"not a git repository"},
			match: `^fatal: not a git repository`,
			cause: "git was started in a folder that is in no repository: a step sees its declared inputs only, and .git is not among them.",
			fix:   "use the objects git and source of the Airbuildfile instead; they work without a repository too (source.json)",
		},
		{
			kind: "git.locked", has: []string{".lock': file exists"},
			match: `Unable to create '(?P<path>[^']+\.lock)': File exists`,
			cause: "Another git works in the repository, or one died and left {path} behind.",
			fix:   "wait for it; if no git runs, remove {path}",
		},
		{
			kind: "git.no-identity", has: []string{"tell me who you are", "empty ident name"},
			match: `(?:Please tell me who you are|empty ident name)`,
			cause: "git is to write a commit or a tag and does not know by whom: a step has a HOME of its own.",
			fix:   "set GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL, GIT_COMMITTER_NAME and GIT_COMMITTER_EMAIL in env",
		},
		{
			kind: "git.no-tags", has: []string{"no names found", "no tags can describe"},
			match: `^fatal: (?:No names found, cannot describe anything|No tags can describe)`,
			cause: "The repository has no tag that the commit comes after; a shallow clone has none either.",
			fix:   "fetch them: git fetch --tags --unshallow; in CI set the depth of the clone to 0",
		},
		{
			kind: "git.unknown-revision", has: []string{"unknown revision or path", "bad revision", "bad object", "couldn't find remote ref"},
			match: `^fatal: (?:ambiguous argument '(?P<revision>[^']+)': unknown revision|bad revision '(?P<revision2>[^']+)'|bad object (?P<revision3>\S+)|couldn't find remote ref (?P<revision4>\S+))`,
			cause: "This repository has no {revision}{revision2}{revision3}{revision4}; a shallow clone has only the newest commits.",
			fix:   "fetch it, or the whole history: git fetch --unshallow --tags",
		},
		{
			kind: "git.credentials", has: []string{"could not read username", "could not read password", "authentication failed", "permission denied (publickey"},
			match: `(?:could not read (?:Username|Password) for '(?P<url>[^']+)'|Authentication failed for '(?P<url2>[^']+)'|Permission denied \(publickey)`,
			cause: "The server requires authentication, and git has no credentials that it accepts.",
			fix:   "give them to the job (a token by GIT_ASKPASS, or a key); for Go modules set GOPRIVATE, or vendor them",
		},
		{
			kind: "git.no-remote", has: []string{"does not appear to be a git repository", "repository '"},
			match: `^fatal: (?:'(?P<url>[^']+)' does not appear to be a git repository|repository '(?P<url2>[^']+)' (?:does not exist|not found))`,
			cause: "There is no repository at {url}{url2}, or it may not be seen from here.",
			fix:   "check the address; on a host without a network take the sources from a bundle",
		},
		{
			kind: "git.conflict", has: []string{"automatic merge failed", "needs merge", "you have unmerged paths"},
			match: `(?:Automatic merge failed|needs merge|You have unmerged paths)`,
			cause: "The work tree has conflicts that were not resolved.",
			fix:   "resolve them, git add the files and commit; or git merge --abort",
		},
	}
}

func toolRules() []rule {
	return []rule{
		{
			kind: "tar.not-an-archive", has: []string{"does not look like a tar archive", "not in gzip format", "file format not recognized"},
			match: `(?:This does not look like a tar archive|^gzip: (?P<file>[^:]+): not in gzip format|xz: (?P<file2>[^:]+): File format not recognized)`,
			cause: "The file is not an archive of this kind: perhaps an error page that was saved as one, or another compression.",
			fix:   "look at its first bytes (file ARCHIVE); fetch it again and check its checksum",
		},
		{
			kind: "archive.truncated", has: []string{"unexpected eof in archive", "unexpected end of file", "unexpected end of input", "premature end", "end-of-central-directory signature not found"},
			match: `(?:Unexpected EOF in archive|^(?:gzip|xz|bzip2|zstd).*: (?i:unexpected end of (?:file|input)|premature end)|End-of-central-directory signature not found)`,
			cause: "The archive ends too early: the copy or download was not complete.",
			fix:   "copy it again and compare checksums; on media, check the free space and the 4 GiB limit of FAT32",
		},
		{
			kind: "tar.clock-skew", has: []string{"in the future", "clock skew"},
			match: `(?:time stamp .* is (?P<seconds>[\d.]+) s in the future|Clock skew detected|modification time (?P<seconds2>[\d.e+]+) s in the future)`,
			cause: "Files are newer than this host's clock: the clock is behind, or the files come from a host whose clock is ahead.",
			fix:   "set the clock (timedatectl, hwclock, chronyc makestep); airbuild itself does not go by file times alone",
		},
		{
			kind: "tar.changed", has: []string{"file changed as we read it"},
			match: `^tar: (?P<path>.*): file changed as we read it$`,
			cause: "Something wrote to {path} while it was being archived.",
			fix:   "order the steps with after, write the archive outside of what it packs, or use the stage type archive",
		},
		{
			kind: "tar.member-missing", has: []string{"cannot stat: no such file", "not found in archive"},
			match: `^tar: (?P<path>.*): (?:Cannot stat: No such file or directory|Not found in archive)$`,
			cause: "{path} is not there, neither below the folder that tar works in nor in the archive.",
			fix:   "check the path, and declare the file among the inputs of the step: a step sees nothing else",
		},
		{
			kind: "upx.already-packed", has: []string{"alreadypackedexception"},
			match: `upx: (?P<path>.*?): AlreadyPackedException`,
			cause: "{path} is compressed already.",
			fix:   "compress the linker's output, not an earlier result: let the stage read stage.NAME.path",
		},
		{
			kind: "upx.cannot-pack", has: []string{"cantpackexception", "notcompressibleexception", "unknownexecutableformatexception"},
			match: `upx: (?P<path>.*?): (?P<reason>CantPackException|NotCompressibleException|UnknownExecutableFormatException)(?::? (?P<detail>.*))?$`,
			cause: "upx cannot compress {path}[: {detail}]; it does not know every format and platform (macOS and Windows on arm64, very small files).",
			fix:   "leave this platform out of the stage's matrix (exclude), or use a newer upx",
		},
		{
			kind: "docker.no-daemon", has: []string{"cannot connect to the docker daemon", "failed to connect to the docker api", "error during connect"},
			match: `(?i)(?:cannot connect to the docker daemon|failed to connect to the docker API|error during connect)`,
			cause: "The docker client found no daemon that answers.",
			fix:   "start it, or set DOCKER_HOST; the stage type oci_image needs neither docker nor a daemon",
		},
		{
			kind: "make.no-rule", has: []string{"no rule to make target"},
			match: "\\*\\*\\* No rule to make target [`'](?P<file>[^']+)'",
			cause: "make needs {file}, and there is neither the file nor a rule for it: in a step, a file that is not declared is not there.",
			fix:   "declare it among the inputs of the step, or correct its name",
		},
		{
			kind: "tls.clock", has: []string{"certificate has expired or is not yet valid", "certificate is not yet valid", "certificate is not valid"},
			match: `(?i)certificate (?:has expired or is not yet valid|is not (?:yet )?valid)(?:: (?P<reason>.*))?$`,
			cause: "The server's certificate is not valid at the time of this host's clock[: {reason}].",
			fix:   "check the clock first (date -u), then the certificate",
		},
		{
			kind: "tls.unknown-authority", has: []string{"unknown authority", "self-signed certificate", "self signed certificate", "unable to get local issuer"},
			match: `(?i)(?:certificate signed by unknown authority|self[- ]signed certificate|unable to get local issuer certificate)`,
			cause: "The server's certificate is from an authority that this host does not trust: a company's own, or a proxy that opens connections.",
			fix:   "install the authority's certificate (update-ca-certificates), or name it in SSL_CERT_FILE, GIT_SSL_CAINFO, CURL_CA_BUNDLE by pass_env",
		},
	}
}

func networkRules() []rule {
	const allow = "a step has no network unless it asks for it: sandbox { network = true }; better, fetch in a stage of its own and declare the result"
	return []rule{
		{
			kind: "network.name-not-found", has: []string{"no such host", "could not resolve host", "temporary failure in name resolution", "server misbehaving", "name or service not known"},
			match: `(?:lookup (?P<host>[^\s:]+)(?: on [^\s]+)?: (?:no such host|server misbehaving|Temporary failure in name resolution|i/o timeout)|Could not resolve host(?:name)?:? (?P<host2>[^\s;:]+)|(?P<host3>[\w.-]+): (?:Temporary failure in name resolution|Name or service not known))`,
			cause: "The name {host}{host2}{host3} cannot be resolved: there is no network here, or no name server that knows it.",
			fix:   allow, offline: "this host has no network: bring what is fetched in a bundle",
		},
		{
			kind: "network.unreachable", has: []string{"network is unreachable", "no route to host", "network unreachable"},
			match: `(?i)(?:(?:dial tcp|connect to) (?P<address>[\w.:\[\]-]+?)(?: .*)?: .*)?(?:network is unreachable|no route to host)`,
			cause: "There is no way out to the network[, to {address}]: it is off or not set up.",
			fix:   allow, offline: "this host has no network: bring what is fetched in a bundle",
		},
		{
			kind: "network.refused", has: []string{"connection refused"},
			match: `(?i)(?:dial (?:tcp|unix) (?P<address>\S+): connect: connection refused|(?:connect to|connecting to) (?P<address2>\S+(?: port \d+)?).*connection refused|connect: connection refused|: connection refused$)`,
			cause: "The connection was refused[: {address}][: {address2}]. Nothing listens there, or a firewall says no.",
			fix:   "check the address and that the service runs; behind a proxy pass HTTPS_PROXY on with pass_env",
		},
		{
			kind: "network.timeout", has: []string{"i/o timeout", "connection timed out", "tls handshake timeout", "operation timed out"},
			match: `(?i)(?:dial tcp (?P<address>\S+): i/o timeout|connection timed out|TLS handshake timeout|operation timed out after)`,
			cause: "[{address} did not answer in time: ]packets are dropped, by a firewall or because a proxy must be used.",
			fix:   "behind a proxy pass HTTPS_PROXY on with pass_env; retries = 2 helps where the network is only slow",
		},
	}
}
