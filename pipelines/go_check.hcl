# go_check: is the module in order?
#
#   pipeline "check" {
#     use = "go_check"
#   }

variable "test" {
  type        = bool
  default     = true
  description = "Whether the tests are run"
}

stage "go_tidy" "tidy" {
  description = "go.mod and go.sum say what the sources import"
  mode        = "check"
}

# Both come after tidy, which fetches the modules that are not here yet.
stage "go_vet" "vet" {
  description = "What the compiler lets pass and is wrong all the same"
  after       = [stage.tidy]
}

stage "go_test" "test" {
  description = "The tests of all packages"
  after       = [stage.tidy]
  when        = var.test
}

pipeline "go_check" {
  description = "Tidy modules, vet, tests"
  stages      = [stage.tidy, stage.vet, stage.test]
}
