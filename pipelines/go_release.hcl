# go_release: everything that a Go project publishes. Binaries for each
# platform, an archive of each, Linux packages, one list of checksums, in dist/.
#
#   pipeline "release" {
#     use       = "go_release"
#     platforms = ["linux/amd64", "windows/amd64"]
#   }

variable "name" {
  type        = string
  default     = "app"
  description = "Name of the binary of the main package in the module root; by default the last element of the module path"
}

variable "version" {
  type        = string
  default     = git.describe
  description = "Stamped into the binaries and file names"
  validation {
    condition     = !strcontains(var.version, "/")
    error_message = "The version ${var.version} becomes part of file names and has a slash. Set it without the prefix: version = trimprefix(git.describe, \"PREFIX/\")."
  }
}

variable "stamp" {
  type        = string
  default     = "main.version"
  description = "The string variable of the binaries that is set to the version; empty for none"
}

variable "buildvcs" {
  type        = bool
  default     = null
  description = "Whether to stamp the binaries with version, commit and time as go build does in a clone; by default those that read it"
}

variable "platforms" {
  type        = list(string)
  default     = ["linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"]
  description = "Platforms to build for"
}

variable "packages" {
  type        = list(string)
  default     = ["."]
  description = "The main packages; by default all of the module that are not internal"
}

variable "names" {
  type        = map(string)
  default     = {}
  description = "Names of binaries by package, for packages whose directory names collide"
}

variable "files" {
  type        = list(string)
  default     = ["LICENSE*", "README*"]
  description = "Files to add to the archives; patterns may match nothing"
}

variable "vendor" {
  type        = bool
  default     = false
  description = "Whether to vendor the modules first and build from the vendor directory"
}

variable "strip" {
  type        = bool
  default     = true
  description = "Whether to omit symbol tables and debug information"
}

variable "linux_packages" {
  type        = list(string)
  default     = []
  description = "Formats of Linux packages to build: deb, rpm, apk, archlinux"
}

variable "maintainer" {
  type        = string
  default     = ""
  description = "Name and address of the package maintainer; required for deb"
}

variable "license" {
  type        = string
  default     = ""
  description = "SPDX license expression of the packages; required for rpm"
}

variable "summary" {
  type        = string
  default     = "program written in Go"
  description = "One-line summary of the packages"
}

include "go_check.hcl" {}

locals {
  # Binaries by name: a package is called after its folder.
  mains = { for p in var.packages : lookup(var.names, p, p == "." ? var.name : element(split("/", p), -1)) => p }
}

stage "go_vendor" "vendor" {
  description = "The modules that the build needs, in one folder"
  after       = [stage.tidy]
  when        = var.vendor
}

stage "go_build" "bin" {
  description = "The binaries"
  after       = [stage.tidy]
  matrix = {
    platform = var.platforms
    cmd      = keys(local.mains)
  }
  package = local.mains[matrix.cmd]
  modules = stage.vendor
  output  = "${matrix.cmd}_${var.version}_${matrix.os}_${matrix.arch}${replace(matrix.variant, ",", "-")}/${matrix.cmd}${matrix.exe}"
  stamp   = { for name in [var.stamp] : name => var.version if name != "" }

  buildvcs = var.buildvcs

  size {
    strip    = var.strip
    trimpath = true
  }
}

stage "archive" "archives" {
  description = "One archive a binary"
  for_each    = stage.bin
  format      = each.os == "windows" ? "zip" : "tar.gz"
  output      = "${each.cmd}_${var.version}_${each.os}_${each.arch}${replace(each.variant, ",", "-")}.${each.os == "windows" ? "zip" : "tar.gz"}"
  files       = concat([each.path], flatten([for p in var.files : glob(p)]))
}

stage "package" "packages" {
  description       = "Packages for Linux"
  for_each          = stage.bin
  when              = each.os == "linux" && length(var.linux_packages) > 0
  format            = var.linux_packages
  name              = each.cmd
  version           = var.version
  summary           = var.summary
  maintainer        = var.maintainer == "" ? null : var.maintainer
  license           = var.license == "" ? null : var.license
  license_file      = length(glob("LICENSE")) > 0 ? "LICENSE" : null
  lintian_overrides = ["statically-linked-binary", "no-manual-page"]
  binaries          = [each.path]
}

stage "checksum" "sums" {
  description = "SHA-256 of what is published"
  files       = concat(stage.archives.paths, stage.packages.paths)
}

pipeline "go_release" {
  description = "Checks, binaries, archives and checksums"
  stages      = [stage.tidy, stage.vet, stage.test, stage.sums]
}
