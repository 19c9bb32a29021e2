//! Reads one expert's map out of a tensor that stacks those of all experts.

use candle_core::Tensor;

use super::Checkpoint;
use crate::Error;
use crate::kernels;
use crate::model::spec::Stack;

impl Checkpoint {
    /// Reads the weight of the shape `one` in its place of the stack `name`. Fails and keeps half
    /// precision as [`Self::weight`] does.
    pub(crate) fn stacked_weight(
        &self,
        name: &str,
        stack: Stack,
        one: &[usize],
    ) -> Result<Tensor, Error> {
        let (stored, file) = self.check_stored(name, &stack.shape(one))?;
        let dtype = self.weight_dtype(file, stored);
        let block = file.read_block(stored, dtype, (stack.index, stack.count))?;
        if stack.index == 0 {
            self.progress.advance();
        }
        Ok(block.reshape(one)?)
    }

    /// Reads the tensor of the shape `one` in its place of the stack `name` and puts it where the
    /// model computes. Fails as [`Self::tensor`] does.
    pub(crate) fn stacked_parameter(
        &self,
        name: &str,
        stack: Stack,
        one: &[usize],
    ) -> Result<kernels::Tensor, Error> {
        let (stored, file) = self.check_stored(name, &stack.shape(one))?;
        let block = file.read_block(stored, self.dtype, (stack.index, stack.count))?;
        Ok(self.place.put(&block.reshape(one)?.into())?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use candle_core::{DType, Device};

    use super::super::tensor_file::TensorFile;
    use super::*;
    use crate::model::spec::StackLayout;

    fn numbers() -> Tensor {
        let numbers: Vec<f32> = (0..24).map(|i| i as f32 * 0.5 - 3.0).collect();
        Tensor::from_vec(numbers, (3, 2, 4), &Device::Cpu).unwrap()
    }

    fn stack(index: usize, layout: StackLayout) -> Stack {
        Stack {
            index,
            count: 3,
            layout,
        }
    }

    fn flat(tensor: &Tensor) -> Vec<f64> {
        let flat = tensor.flatten_all().unwrap();
        flat.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn every_map_of_a_stack_is_read_from_its_place() {
        let whole = numbers();
        let tensors = HashMap::from([
            ("own".to_owned(), whole.clone()),
            ("joined".to_owned(), whole.reshape((6, 4)).unwrap()),
            ("halves".to_owned(), whole.to_dtype(DType::BF16).unwrap()),
        ]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        candle_core::safetensors::save(&tensors, path).unwrap();
        let checkpoint = Checkpoint::open(folder.path(), DType::F32).unwrap();
        for index in 0..3 {
            let expected = flat(&whole.narrow(0, index, 1).unwrap());
            for (name, layout) in [
                ("own", StackLayout::Parameter),
                ("halves", StackLayout::Module),
                ("joined", StackLayout::Joined),
            ] {
                let read = checkpoint.stacked_weight(name, stack(index, layout), &[2, 4]);
                let read = read.unwrap();
                assert_eq!(read.dims(), [2, 4]);
                assert_eq!(flat(&read), expected, "{name}");
            }
        }
        let layout = StackLayout::Parameter;
        let misshapen = checkpoint.stacked_weight("own", stack(0, layout), &[4, 2]);
        let message = misshapen.unwrap_err().to_string();
        assert!(message.contains("[3, 4, 2]"), "{message}");
    }

    /// A file of a format that has no way to read a part of a tensor.
    #[derive(Debug)]
    struct WholeTensors;

    impl TensorFile for WholeTensors {
        fn path(&self) -> &Path {
            Path::new("whole")
        }

        fn names(&self) -> Vec<String> {
            vec!["own".to_owned()]
        }

        fn shape(&self, _name: &str) -> Option<Vec<usize>> {
            Some(numbers().dims().to_vec())
        }

        fn precision(&self, _name: &str) -> Option<DType> {
            Some(DType::F32)
        }

        fn read(&self, _name: &str, dtype: DType) -> Result<Tensor, Error> {
            Ok(numbers().to_dtype(dtype)?)
        }

        fn check(&self, _name: &str) -> Result<(), Error> {
            Ok(())
        }
    }

    #[test]
    fn a_block_of_a_tensor_that_is_read_whole_is_the_same() {
        let read = WholeTensors.read_block("own", DType::F64, (2, 3)).unwrap();
        assert_eq!(flat(&read), flat(&numbers().narrow(0, 2, 1).unwrap()));
    }
}
