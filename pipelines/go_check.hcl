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

stage "go_vet" "vet" {
  description = "What the compiler lets pass and is wrong all the same"
}

stage "go_test" "test" {
  description = "The tests of all packages"
  when        = var.test
}

pipeline "go_check" {
  description = "Tidy modules, vet, tests"
  stages      = [stage.tidy, stage.vet, stage.test]
}
