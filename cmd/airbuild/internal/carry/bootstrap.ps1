<#
Installs airbuild on a Windows host that does not have it, and imports this bundle
with it. Needs Windows PowerShell 5 and nothing else; no administrator, no network;
the media may be read-only.

  powershell -ExecutionPolicy Bypass -File bootstrap.ps1 [-To DIR] [-Cache DIR]
             [-Trust FILE.pub] [-SourceTo DIR] [-ArtifactsTo DIR] [-AllowUnsigned]
             [FOLDER...]

  -To DIR           where airbuild is put (default: %LOCALAPPDATA%\Programs\airbuild)
  -Cache DIR        airbuild's cache (default: airbuild's own)
  -Trust FILE       trust this key first: the public key of who made the bundle
  -SourceTo DIR     unpack the source there
  -ArtifactsTo DIR  unpack what the targets made there
  -AllowUnsigned    accept a bundle that nobody has signed
  FOLDER            folders of further discs

This script is not signed. It came with the bundle, whose digest is
  @DIGEST@
Compare the script's own SHA-256 (Get-FileHash bootstrap.ps1) with the one that its
maker told you some other way. What it installs it compares with the sums below; the
bundle itself is verified by airbuild, against keys that you trust.
#>
[CmdletBinding(PositionalBinding = $false)]
param(
    [string] $To = '',
    [string] $Cache = '',
    [string] $Trust = '',
    [string] $SourceTo = '',
    [string] $ArtifactsTo = '',
    [switch] $AllowUnsigned,
    [Parameter(ValueFromRemainingArguments = $true)]
    [string[]] $Folder = @()
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# host  sha256  size  path in the layout
$programs = @'
@PROGRAMS@
'@

function Stop-Bootstrap {
    param([string] $Message, [int] $Code = 1)
    [Console]::Error.WriteLine('bootstrap: ' + $Message)
    exit $Code
}

# Read-Block fills a block of a volume, and is false at the end of the file.
function Read-Block {
    param([IO.Stream] $Stream, [byte[]] $Block)
    $have = 0
    while ($have -lt $Block.Length) {
        $n = $Stream.Read($Block, $have, $Block.Length - $have)
        if ($n -le 0) { return $false }
        $have += $n
    }
    return $true
}

# Copy-Member copies a member of a volume, which is a tar file of regular files with
# short names. It is false if the volume does not have it whole.
function Copy-Member {
    param([string] $Volume, [string] $Name, [string] $Target)
    $in = [IO.File]::OpenRead($Volume)
    try {
        $header = New-Object byte[] 512
        while (Read-Block $in $header) {
            if ($header[0] -eq 0) { return $false }
            $text = [Text.Encoding]::ASCII.GetString($header)
            $member = $text.Substring(0, 100).Trim([char] 0)
            $size = [Convert]::ToInt64($text.Substring(124, 12).Trim([char] 0, [char] 32), 8)
            if ($member -cne $Name) {
                $padding = (512 - $size % 512) % 512
                [void] $in.Seek($size + $padding, [IO.SeekOrigin]::Current)
                continue
            }
            $out = [IO.File]::Create($Target)
            try {
                $buffer = New-Object byte[] 1048576
                while ($size -gt 0) {
                    $n = $in.Read($buffer, 0, [int] [Math]::Min($size, $buffer.Length))
                    if ($n -le 0) { return $false }
                    $out.Write($buffer, 0, $n)
                    $size -= $n
                }
            } finally {
                $out.Dispose()
            }
            return $true
        }
        return $false
    } finally {
        $in.Dispose()
    }
}

# Get-Place makes a path absolute, and leaves no backslash at its end: within quotes
# it would escape the quote when PowerShell 5 starts a program.
function Get-Place {
    param([string] $Path)
    $full = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Path)
    if ($full.Length -gt 3) { $full = $full.TrimEnd('\') }
    return $full
}

if ($ExecutionContext.SessionState.LanguageMode -ne 'FullLanguage') {
    Stop-Bootstrap ('PowerShell runs in ' + $ExecutionContext.SessionState.LanguageMode + ' mode here, which does not run this script. By hand: tar -xf VOLUME.tar the path that this script names for this host, compare its SHA-256 (certutil -hashfile), rename it to airbuild.exe, and run airbuild bundle import.')
}
foreach ($argument in $Folder) {
    if ($argument.StartsWith('-')) {
        Stop-Bootstrap ('unknown argument ' + $argument + '. The first lines of ' + $PSCommandPath + ' list the arguments; for others, run airbuild bundle import after this script.') 2
    }
}

$arch = $env:PROCESSOR_ARCHITEW6432
if (-not $arch) { $arch = $env:PROCESSOR_ARCHITECTURE }
switch ($arch) {
    'AMD64' { $arch = 'amd64' }
    'ARM64' { $arch = 'arm64' }
    'x86' { $arch = '386' }
    default { $arch = "$arch".ToLowerInvariant() }
}
$hostName = 'windows-' + $arch

$sum = ''
$path = ''
foreach ($line in $programs.Split("`n")) {
    $fields = $line.Trim().Split(' ')
    if ($fields.Length -eq 4 -and $fields[0] -ceq $hostName) {
        $sum = $fields[1]
        $path = $fields[3]
    }
}
if (-not $sum) {
    Stop-Bootstrap ("the bundle has no airbuild for $hostName; it has:`n" + $programs)
}

if (-not $To) {
    if (-not $env:LOCALAPPDATA) { Stop-Bootstrap 'LOCALAPPDATA is not set; say where airbuild goes: -To DIR' }
    $To = Join-Path $env:LOCALAPPDATA 'Programs\airbuild'
}
$To = Get-Place $To
$media = Get-Place $PSScriptRoot
[void] (New-Item -ItemType Directory -Force -Path $To)

# The program is made in the folder where it will be, so that it appears whole.
$new = Join-Path $To ('.airbuild.' + $PID + '.exe')
$old = Join-Path $To ('.airbuild.' + $PID + '.old')
$program = Join-Path $To 'airbuild.exe'
try {
    # The program is in the layout, or in one of the volumes.
    $found = $false
    $loose = Join-Path $media $path.Replace('/', '\')
    if (Test-Path -LiteralPath $loose -PathType Leaf) {
        [IO.File]::Copy($loose, $new, $true)
        $found = $true
    } else {
        foreach ($volume in @(Get-ChildItem -LiteralPath $media -Filter '*.tar' | Sort-Object -Property Name)) {
            if (Copy-Member $volume.FullName $path $new) {
                $found = $true
                break
            }
        }
    }
    if (-not $found) {
        Stop-Bootstrap "airbuild for $hostName is not in ${media}: is a volume missing?" 3
    }
    $have = (Get-FileHash -LiteralPath $new -Algorithm SHA256).Hash.ToLowerInvariant()
    if ($have -cne $sum) {
        Stop-Bootstrap "airbuild for $hostName is damaged: SHA-256 $have instead of $sum" 3
    }
    [IO.File]::SetAttributes($new, [IO.FileAttributes]::Normal)
    # Windows does not replace a program that runs, but it renames one. The old one
    # is removed as soon as it no longer runs.
    Get-ChildItem -LiteralPath $To -Filter '.airbuild.*.old' | Remove-Item -Force -ErrorAction SilentlyContinue
    if (Test-Path -LiteralPath $program) { [IO.File]::Move($program, $old) }
    [IO.File]::Move($new, $program)
    Remove-Item -LiteralPath $old -Force -ErrorAction SilentlyContinue
} finally {
    Remove-Item -LiteralPath $new -Force -ErrorAction SilentlyContinue
}

try {
    & $program version | Out-Null
} catch {
    Stop-Bootstrap "$program does not start here: $_"
}
if ($LASTEXITCODE -ne 0) { Stop-Bootstrap "$program does not start here" }
Write-Output "installed $program"

if ($Cache) { $env:AIRBUILD_CACHE = Get-Place $Cache }
if ($Trust) {
    & $program key trust (Get-Place $Trust)
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
}

$arguments = @('bundle', 'import', $media)
foreach ($further in $Folder) { $arguments += Get-Place $further }
if ($SourceTo) { $arguments += @('--source-to', (Get-Place $SourceTo)) }
if ($ArtifactsTo) { $arguments += @('--artifacts-to', (Get-Place $ArtifactsTo)) }
if ($AllowUnsigned) { $arguments += '--allow-unsigned' }
& $program $arguments
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }

if (-not ($env:PATH.Split(';') -contains $To)) {
    Write-Output ('to have it found: $env:PATH = "' + $To + ';$env:PATH"')
}
exit 0
