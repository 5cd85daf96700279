# A comment
airbuild {
  required_version = ">= 0.1.0"
  dist             = "dist" # where it goes
}

variable "v" { default = "x" }
variable "version" {
  type        = string          # after
  env         = "CI_COMMIT_TAG" # used when set
  default     = git.describe    // fallback
  description = "long"          /* c */
  validation {
    condition     = can(regex("^v", var.version))
    error_message = "no"
  }
}


locals {
  a     = -1
  b     = 2 * -1 - 3
  c     = !true && !false
  d     = [1, 2, 3]
  e     = { a = 1, "b" = 2, (local.x) = 3 }
  empty = {}
  f     = [for x in [1, 2] : x if (x > 1)]
  g     = { for k, v in local.e : k => v... }
  h     = local.e["a"].b
  i     = local.list[*].x
  j     = local.list.*.x
  tern  = var.a ? "b" : "c"
  multi = [
    "a",
    "b",  # why
    "cc", # and why
  ]
  merged = merge({
    a  = 1
    bb = 2
  }, {
    c = 3
  })
  text = <<-EOT
      keep   ${ upper( "x" ) }
    this
  EOT
  after = 1
  cell  = stage.bin["linux/amd64", "yq"]
  tmpl  = "${stage.bin["linux/amd64","yq"].path}  x"
  日本  = 1
  x     = 2
}
stage "exec" "s" {
  command = ["a"]
  size {
    strip    = true
    trimpath = true
  }
  /* long
     comment */
  dir = "."
}
